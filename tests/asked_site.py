"""A source as a process of its own, which is asked over HTTP; each build is a line of a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

NAME = "asked.number"
KEY = "the-key-of-the-target"
SECRETS = ["what both sites have"]
Target = Callable[..., None]
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


publish_context("asked.number", 0)
"""

#: By Django's own server.
BY_HTTP_1 = """
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"


server = ThreadedWSGIServer(("127.0.0.1", 0), Handler)
server.set_app(get_wsgi_application())
print(server.server_port, flush=True)
server.serve_forever()
"""

#: By a server that has HTTP/2; each request is a line with its protocol and its connection.
BY_HTTP_2 = """
import asyncio, socket
from django.core.asgi import get_asgi_application
from hypercorn.asyncio import serve
from hypercorn.config import Config

application = get_asgi_application()


async def noted(scope, receive, send):
    if scope["type"] == "http":
        sys.stderr.write(f"HTTP/{scope['http_version']} from {scope['client'][1]}\\n")
        sys.stderr.flush()
    await application(scope, receive, send)


listening = socket.create_server(("127.0.0.1", 0))
config = Config()
config.bind = [f"fd://{listening.fileno()}"]
config.certfile, config.keyfile = given["certificate"]
print(listening.getsockname()[1], flush=True)
asyncio.run(serve(noted, config))
"""


class AskedSite:
    """Serves until ``stop``."""

    def __init__(
        self,
        cache: Mapping[str, Any],
        fragcache: Mapping[str, Any],
        directory: Path,
        certificate: Sequence[str] = (),
    ) -> None:
        """With a certificate and its key, as paths, it serves HTTP/2 by TLS."""
        self._builds = directory / "builds"
        self._pause = directory / "pause"
        self._log = directory / "log"
        self.pause(0)
        given = {
            "cache": dict(cache),
            "fragcache": dict(fragcache),
            "builds": str(self._builds),
            "pause": str(self._pause),
            "certificate": list(certificate),
        }
        program = PROGRAM + (BY_HTTP_2 if certificate else BY_HTTP_1)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, json.dumps(given)],
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


@pytest.fixture(scope="module")
def asked_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedSite]:
    site = AskedSite(
        django_settings.CACHES["fragments"],
        {"API_KEYS": [KEY], "SECRET_KEYS": SECRETS},
        tmp_path_factory.mktemp("asked"),
    )
    yield site
    site.stop()


@pytest.fixture
def asked_source(asked_site: AskedSite) -> Iterator[AskedSite]:
    asked_site.pause(0)
    yield asked_site
    asked_site.pause(0)


@pytest.fixture
def numbers() -> Iterator[int]:
    """Numbers that no test has asked for."""
    return iter(range(next(_thousands) * 1000, 10**9))


_thousands = iter(range(1, 10**6))


@pytest.fixture
def asking_target(settings: Any, asked_source: AskedSite) -> Target:
    """Settings of a site that asks, at an address if it is not that of the source."""

    def on(address: str = "", **changes: Any) -> None:
        asked = {"URL": url_at(address or asked_source.address), "KEY": KEY, "TIMEOUT": 3}
        settings.FRAGCACHE = {
            "CACHE_ALIAS": "fragments",
            "SECRET_KEYS": SECRETS,
            "PAGE_BUDGET": None,
            "READ_ONLY": True,
            "SOURCE": asked | changes.pop("source", {}),
            **changes,
        }

    on()
    return on
