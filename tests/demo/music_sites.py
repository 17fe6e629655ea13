"""The music of the demo as several processes: a source, targets, a cache and a database between."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from tests.demo.running import DEMO_SITE, environment, is_listening, manage, texts
from tests.processes import Server, free_port

API = "/api/v1/music_context/"
API_KEY = "the key of the tests"
PREPARE = """
from django.core.management import call_command
call_command("migrate", "--verbosity=0")
call_command("load_musics", "--verbosity=0")
call_command("warm_fragments", "--verbosity=0")
"""


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def rows(self) -> list[str]:
        """The rows of the table, without tags; the first one has its headings."""
        return texts(self.text, "tr")

    @property
    def notice(self) -> str:
        """What a page says in place of a table."""
        return " ".join(texts(self.text, "p")[:1])

    @property
    def cost(self) -> str:
        """What the footer says that the page asked for."""
        [cost] = [line for line in texts(self.text, "p") if "SQL queries" in line]
        return cost.partition(" ms; ")[2]


class Site:
    """A site on a port of its own; `stop` and `start` keep it."""

    def __init__(
        self, name: str, folder: Path, *, release: Path = DEMO_SITE, **changes: str
    ) -> None:
        self.manage = release / "manage.py"
        self.port = free_port()
        self.log = folder / f"{name}-{self.port}.log"
        self.environment = environment(folder, DEMO_SITE=name, **changes)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        command = [sys.executable, str(self.manage), "runserver", "--noreload"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(self.port)], env=self.environment, stdout=log, stderr=log
            )

    def wait(self) -> None:
        until(lambda: is_listening(self.port))

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str, **headers: str) -> Answer:
        request = urllib.request.Request(
            self.url + path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())


class StandIn:
    """A server at the source's address that answers what a test wants."""

    def __init__(self) -> None:
        self.status, self.body, self.seconds = 200, b"{}", 0.0
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(stand_in.seconds)
                self.send_response(stand_in.status)
                self.send_header("Content-Length", str(len(stand_in.body)))
                self.end_headers()
                self.wfile.write(stand_in.body)

            def log_message(self, *args: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answers(self, body: object, status: int = 200, *, seconds: float = 0.0) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.seconds = status, seconds

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class MusicSites:
    """A source, a target that asks it, and one that asks a stand-in."""

    def __init__(self, folder: Path, cache: Server, database: str) -> None:
        self.folder, self.cache, self.database = folder, cache, database
        shared = {
            "DEMO_CACHE": cache.name,
            "DEMO_REDIS_URL": cache.address,
            "DEMO_MEMCACHED": cache.address,
            "DEMO_API_KEY": API_KEY,
        }
        self.at_source = {**shared, "DEMO_DATABASE_URL": database}
        self.stand_in = StandIn()
        self.source = Site("source", folder, **self.at_source)
        self.at_target = {**shared, "DEMO_SOURCE_URL": self.source.url}
        self.target = Site("target", folder, **self.at_target)
        doubts = {"DEMO_SOURCE_URL": self.stand_in.url, "DEMO_SOURCE_TIMEOUT": "0.3"}
        statuses = {"DEMO_SOURCE_STATUS": "503", "DEMO_CACHE_STATUS": "200"}
        self.doubtful_target = Site("target", folder, **shared, **doubts, **statuses)
        self.sites = (self.source, self.target, self.doubtful_target)

    def start(self) -> None:
        for site in self.sites:
            site.launch()
        self.at("source", "shell", "--verbosity=0", "-c", PREPARE)
        self.warm_target()
        for site in self.sites:
            site.wait()

    def stop(self) -> None:
        for site in self.sites:
            site.stop()
        self.stand_in.stop()

    def at(self, site: str, *arguments: str, release: Path = DEMO_SITE) -> str:
        changes = self.at_source if site == "source" else self.at_target
        own = {"DEMO_SITE": site, "DEMO_TARGET_WARMS": "1"}
        return manage(self.folder, *arguments, site=release, **changes, **own)

    def rename(self, name: str) -> None:
        """Give AC/DC another name, as the source's admin would."""
        with closing(psycopg2.connect(self.database)) as connection, connection:
            connection.cursor().execute(
                "UPDATE musics_artist SET name = %s, mtime = clock_timestamp() WHERE number = 1",
                [name],
            )

    def warm(self) -> None:
        """Warm first the source, then the target."""
        self.at("source", "warm_fragments", "-v0")
        self.warm_target()

    def warm_target(self) -> None:
        self.at("target", "warm_fragments", "-v0")

    def key(self) -> str:
        """Ask the source's API."""
        answer = self.source.get(API, X_Api_Key=API_KEY)
        assert answer.status == 200, answer.text
        return str(json.loads(answer.text)["key"])

    @property
    def logs(self) -> list[str]:
        return [site.log.read_text() for site in self.sites]

    def said_since(self, logs: list[str]) -> str:
        pairs = zip(self.logs, logs, strict=True)
        return "".join(now.removeprefix(before) for now, before in pairs)


class Stored:
    """The cache as its own clients see it, past fragcache."""

    def __init__(self, cache: Server) -> None:
        self.client: Any
        if cache.name == "redis":
            from redis import Redis

            self.client = Redis.from_url(cache.address)
        else:
            from pymemcache.client.base import Client

            self.client = Client(cache.address, default_noreply=False)

    def read(self, key: str) -> bytes:
        found = self.client.get(f"demo:1:{key}")
        assert isinstance(found, bytes)
        return found

    def overwrite(self, key: str, value: bytes) -> None:
        self.client.set(f"demo:1:{key}", value)

    def remove(self, key: str) -> None:
        assert self.client.delete(f"demo:1:{key}")

    def close(self) -> None:
        self.client.close()


@contextmanager
def new_database(url: str, name: str) -> Iterator[str]:
    """Yield the address of a database of one's own on the server of another one."""
    server = url.rpartition("/")[0]
    connection = psycopg2.connect(f"{server}/postgres")
    connection.autocommit = True
    try:
        connection.cursor().execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server}/{name}"
        finally:
            connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        connection.close()


def new_release(folder: Path, file: str, before: str, after: str) -> Path:
    """Return a copy of the demo in which a file has other text."""
    copied = Path(shutil.copytree(DEMO_SITE, folder, ignore=shutil.ignore_patterns("var")))
    text = (copied / file).read_text()
    assert before in text
    (copied / file).write_text(text.replace(before, after))
    return copied


def until(condition: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
