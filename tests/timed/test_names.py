"""Names of hosts: a resolver that hangs or fails costs a page no more than its budget."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings

from fragcache import counters, deadline
from fragcache.backends import names
from fragcache.backends.names import connected
from fragcache.events import Event
from fragcache.store import store
from tests.faulty_site import FIRST_PAGE, FRAGMENTS, seconds_of, uncached_seconds
from tests.fixtures import happened
from tests.pages import SERVERS, later
from tests.processes import Server
from tests.stem import in_child
from tests.threads import at_once
from tests.tls import NAME, TLSRelay, encrypted_at

#: Seconds in which everything happens, unless somebody waits who should not.
SOON = 10

each_server = pytest.mark.parametrize("name", SERVERS)


class Resolver:
    """The system's, but for one name; it answers when it may."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.addresses = ["127.0.0.1"]
        self.asked = 0
        self._usual = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *kind: Any, **options: Any) -> Any:
        if host != NAME:
            return self._usual(host, port, *kind, **options)
        self.asked += 1
        assert self.may_answer.wait(SOON)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            found
            for address in self.addresses
            for found in self._usual(address, port, *kind, **options)
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    names._lookups.clear()
    yield resolver
    resolver.may_answer.set()
    names._lookups.clear()


@pytest.fixture
def plain(name: str, start_server: Callable[[str], Server]) -> dict[str, Any]:
    """Where a server is, by name."""
    return {"LOCATION": start_server(name).address.replace("127.0.0.1", NAME)}


@pytest.fixture
def encrypted(
    name: str, start_server: Callable[[str], Server], tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Where a server behind TLS is, by name."""
    with TLSRelay(f"127.0.0.1:{start_server(name).port}", tmp_path) as relay:
        address = relay.address.replace("127.0.0.1", NAME)
        yield encrypted_at(name, address, relay.authority)
        caches.close_all()


@pytest.mark.usefixtures("cards")
@each_server
@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_a_resolver_that_hangs_costs_a_page_its_budget(
    name: str, kind: str, request: pytest.FixtureRequest, resolver: Resolver, settings: Any
) -> None:
    place = request.getfixturevalue(kind)
    cache = {"BACKEND": settings.CACHES[name]["BACKEND"], **place}
    usual = uncached_seconds("names")
    with override_settings(
        CACHES={**settings.CACHES, "named": cache},
        FRAGCACHE={"CACHE_ALIAS": "named", "LOCAL_MAX_BYTES": 0},
        ROOT_URLCONF="tests.faulty_site",
    ):
        resolver.may_answer.clear()
        times = []
        for _attempt in range(4):
            store().reads.close()
            times.append(seconds_of("names"))
        assert min(times) <= FIRST_PAGE + 2 * usual
        assert happened(Event.CACHE_ERROR) > 0
        assert resolver.asked == 1, "one thread asks"

        resolver.may_answer.set()
        end = time.monotonic() + SOON
        while happened(Event.HIT) < FRAGMENTS and time.monotonic() < end:
            counters.reset()
            seconds_of("names")
        assert happened(Event.HIT) == FRAGMENTS
        store().reads.close()
        store().writes.close()


def test_those_who_wait_for_one_name_share_a_question(resolver: Resolver) -> None:
    resolver.may_answer.clear()
    threading.Timer(0.2, resolver.may_answer.set).start()

    def connect() -> str:
        with deadline.within(SOON):
            return connected(NAME, None, str)

    assert at_once(connect, 8) == ["127.0.0.1"] * 8
    assert resolver.asked == 1
    with later(names.KEPT + 1):
        connect()
    assert resolver.asked == 2


def test_what_is_found_too_late_is_good_for_who_comes_next(resolver: Resolver) -> None:
    resolver.may_answer.clear()
    with deadline.within(0.05) as limit, pytest.raises(TimeoutError):
        connected(NAME, 0.25, str)
    assert limit.was_missed
    assert limit.in_vain > 0
    resolver.may_answer.set()
    with deadline.within(SOON):
        assert connected(NAME, 0.25, str) == "127.0.0.1"
    assert resolver.asked == 1


def test_a_name_that_is_not_found_is_looked_up_again(resolver: Resolver) -> None:
    resolver.addresses = []
    for _attempt in range(2):
        with deadline.within(SOON), pytest.raises(socket.gaierror, match="not known"):
            connected(NAME, 0.25, str)
    assert resolver.asked == 2


def test_each_address_is_tried(resolver: Resolver) -> None:
    resolver.addresses = ["127.0.0.2", "127.0.0.3"]
    tried: list[str] = []

    def connect(address: str) -> str:
        tried.append(address)
        if address == "127.0.0.2":
            raise ConnectionRefusedError
        return address

    with deadline.within(SOON):
        assert connected(NAME, 0.25, connect) == "127.0.0.3"
    assert tried == ["127.0.0.2", "127.0.0.3"]


def test_without_a_deadline_the_client_looks_up_itself(resolver: Resolver) -> None:
    assert connected(NAME, 0.25, str) == NAME
    assert resolver.asked == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_asks_for_itself(resolver: Resolver) -> None:
    resolver.may_answer.clear()
    with deadline.within(0.05), pytest.raises(TimeoutError):
        connected(NAME, 0.25, str)

    def connect() -> dict[str, Any]:
        resolver.may_answer.set()
        with deadline.within(SOON):
            return {"address": connected(NAME, None, str)}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        assert in_child(connect) == {"address": "127.0.0.1"}
