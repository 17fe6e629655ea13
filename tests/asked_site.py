"""A source as a process of its own, which is asked over HTTP; each build is a line of a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import json, sys, time
from pathlib import Path
from django.conf import settings

given = json.loads(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["fragcache"],
    DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}},
    CACHES={"fragments": given["cache"]},
    FRAGCACHE=given["fragcache"],
    ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], DEBUG=True, SECRET_KEY="of the source",
    LANGUAGE_CODE="en-us", TIME_ZONE="UTC", USE_TZ=True,
)
import django
django.setup()
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from fragcache import fragment, publish_context

urlpatterns = [path("fragments/", include("fragcache.urls"))]


@fragment(name="asked.number", publish="context")
def number(n, scale=1):
    with open(given["builds"], "a") as builds:
        builds.write(f"{n}\\n")
    time.sleep(float(Path(given["pause"]).read_text()))
    if n < 0:
        raise RuntimeError("what only the context holds")
    return {"n": n, "of": "the source"}


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"


publish_context("asked.number", 0)
server = ThreadedWSGIServer(("127.0.0.1", 0), Handler)
server.set_app(get_wsgi_application())
print(server.server_port, flush=True)
server.serve_forever()
"""


class AskedSite:
    """Serves until ``stop``."""

    def __init__(
        self, cache: Mapping[str, Any], fragcache: Mapping[str, Any], directory: Path
    ) -> None:
        self._builds = directory / "builds"
        self._pause = directory / "pause"
        self._log = directory / "log"
        self.pause(0)
        given = {
            "cache": dict(cache),
            "fragcache": dict(fragcache),
            "builds": str(self._builds),
            "pause": str(self._pause),
        }
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(given)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().strip()
        assert self.port, self.log

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def builds(self) -> list[int]:
        """What was built, but for the one at its start."""
        return list(map(int, self._builds.read_text().split()))[1:]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def pause(self, seconds: float) -> None:
        """Let each build take so long."""
        self._pause.write_text(str(seconds))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def url_at(address: str) -> str:
    return f"http://{address}/fragments/context/"
