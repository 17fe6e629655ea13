"""A machine without a thread to spare costs what threads are for, and no page."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.core import mail

from fragcache import counters, fetch_context
from fragcache.events import Event
from fragcache.stats.collecting import Collector
from fragcache.store import store
from tests.asked_site import NAME, AskedSite, Target
from tests.faulty_site import seconds_of, site
from tests.fixtures import happened
from tests.pages import SERVERS
from tests.processes import Server

each_server = pytest.mark.parametrize("name", SERVERS)


@contextmanager
def no_threads() -> Iterator[None]:
    """Let the system refuse every thread: none has room for such a stack."""
    threading.stack_size(2**45)
    try:
        yield
    finally:
        threading.stack_size(0)


@each_server
@pytest.mark.usefixtures("cards")
def test_a_dead_cache_is_left_alone_and_probed_once_there_is_one(
    name: str, start_server: Callable[[str], Server]
) -> None:
    with site(start_server(name), is_direct=True) as faulty:
        seconds_of("names")
        faulty.server.stop(signal.SIGKILL)
        with no_threads():
            for _visit in range(4):
                seconds_of("single")
        reads = store().reads
        assert reads.open_since is not None
        asked = threading.Event()
        reads._probe = asked.set
        seconds_of("single")
        assert asked.wait(10)


@each_server
@pytest.mark.usefixtures("cards")
def test_a_cache_whose_name_cannot_be_looked_up_is_done_without(
    name: str, start_server: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server(name)
    monkeypatch.setattr(type(server), "address", server.address.replace("127.0.0.1", "localhost"))
    with site(server, is_direct=True), no_threads():
        seconds_of("names")
    assert happened(Event.CACHE_ERROR) > 0


@pytest.mark.usefixtures("cards")
def test_counts_are_not_kept(
    start_server: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = Collector()
    begun = []
    monkeypatch.setattr(counters, "_collector", lambda: begun.append(collector.begin()))
    with site(start_server("redis"), is_direct=True), no_threads():
        monkeypatch.delattr(mail, "outbox")  # as in production
        seconds_of("names")
    assert begun
    assert collector._thread is None


def test_a_source_is_not_asked(asked_source: AskedSite, asking_target: Target) -> None:
    with no_threads():
        assert fetch_context(NAME, 10**6, default=None) is None
    assert happened(Event.SOURCE_ERROR, NAME) > 0
