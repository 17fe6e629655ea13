"""Many questions in one request, and on the wire as HTTP/2."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.conf import settings as django_settings

from fragcache import fetch_context, get_fragments, registry, remote_fragment
from fragcache.contexts.courier import Courier, Reply
from tests.asked_site import KEY, NAME, SECRETS, AskedSite, Target


def contexts(numbers: list[int]) -> list[Any]:
    """Return what a page shows of many contexts, of which those below zero cannot be built."""
    remote_fragment(NAME, "number.html")
    try:
        return get_fragments(NAME, numbers, default=None)
    finally:
        registry.remove(NAME)


@pytest.fixture(autouse=True)
def number_html(templates: Any) -> None:
    templates({"number.html": "{{ n }}"})


def test_what_a_page_misses_is_asked_for_in_one_request(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    asking_target(source={"TIMEOUT": 20})
    wanted = [next(numbers) for _time in range(10)]
    before = asked_source.log.count("POST /fragments/context/")

    assert contexts(wanted) == [str(n) for n in wanted]

    assert asked_source.log.count("POST /fragments/context/") == before + 1
    assert sorted(asked_source.builds[-10:]) == wanted


def test_one_that_fails_is_missing_and_the_others_are_there(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, two, three = (next(numbers) for _time in range(3))

    assert contexts([one, -two, three]) == [str(one), None, str(three)]

    assert "asked in vain for a context of asked.number: status 500" in caplog.text


class OldSource(BaseHTTPRequestHandler):
    """A source of the release that knew no questions, which has nothing."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        answer = b'{"error": "invalid"}' if "questions" in body else b'{"error": "missing"}'
        self.send_response(422 if "questions" in body else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def test_a_source_of_an_earlier_release_is_asked_one_by_one(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    OldSource.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), OldSource)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    wanted = [next(numbers) for _time in range(3)]
    more = [next(numbers) for _time in range(2)]
    try:
        asking_target(f"127.0.0.1:{server.server_port}")
        assert contexts(wanted) == [None] * 3
        assert contexts(more) == [None] * 2
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(one["kwargs"]["n"] for one in OldSource.asked[1:]) == wanted + more


class PackedSource(BaseHTTPRequestHandler):
    """A source that answers a key, compressed whatever is asked for."""

    accepted = ""

    def do_POST(self) -> None:
        PackedSource.accepted = self.headers["Accept-Encoding"]
        answer = gzip.compress(b'{"key": "fc1:x", "more": "' + bytes(10**6) + b'"}')
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def test_an_answer_is_not_unpacked_which_may_have_no_end() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), PackedSource)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    courier = Courier(f"http://127.0.0.1:{server.server_port}/", KEY, 5)
    try:
        [reply] = courier.ask([b"{}"], 5)
    finally:
        courier.close()
        server.shutdown()
        server.server_close()
    assert reply == Reply(200, {})
    assert PackedSource.accepted == "identity"


@pytest.fixture
def http2_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_source: AskedSite
) -> Iterator[AskedSite]:
    """A source on a server that has HTTP/2, with a certificate that this process believes."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    paths = str(tmp_path / "certificate"), str(tmp_path / "key")
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(str(tmp_path / "authority"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority"))
    fragcache = {"API_KEYS": [KEY], "SECRET_KEYS": SECRETS}
    site = AskedSite(django_settings.CACHES["fragments"], fragcache, tmp_path, paths)
    yield site
    site.stop()


def test_all_threads_ask_by_one_connection_of_http_2(
    http2_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    url = f"https://{http2_source.address}/fragments/context/"
    asking_target(source={"URL": url, "TIMEOUT": 20})
    wanted = [next(numbers) for _time in range(8)]
    assert fetch_context(NAME, next(numbers))["of"] == "the source"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: fetch_context(NAME, n)["n"], wanted))

    assert found == wanted
    lines = [line for line in http2_source.log.splitlines() if line.startswith("HTTP/")]
    assert len(lines) == 9
    assert len(set(lines)) == 1
    assert lines[0].startswith("HTTP/2 from ")
