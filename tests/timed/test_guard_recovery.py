"""A server that was away: no error page, one question at a time, and hits again at once."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable

import pytest

from fragcache import breaker, counters
from fragcache.breaker import FIRST_PAUSE, JITTER, Breaker
from fragcache.events import Event
from fragcache.store import store
from tests.backends import freeze
from tests.faults import RESET
from tests.faulty_site import FRAGMENTS, seconds_of, site
from tests.fixtures import happened
from tests.pages import SERVERS
from tests.processes import Server

pytestmark = [
    pytest.mark.usefixtures("cards"),
    pytest.mark.no_cover,  # which would be most of the time that is measured
]

StartServer = Callable[[str], Server]

each_server = pytest.mark.parametrize("name", SERVERS)
#: Seconds of the outage, and in which there must be hits again.
OUTAGE = 0.7
BOUND = 6


@each_server
def test_a_restart_costs_no_error_page_and_its_end_is_noticed(
    name: str, start_server: StartServer
) -> None:
    server = start_server(name)
    with site(server, is_direct=True, PAGE_BUDGET=1):
        seconds_of("names")
        server.stop(signal.SIGKILL)
        end = time.monotonic() + OUTAGE
        while time.monotonic() < end:
            seconds_of("names")
            time.sleep(0.02)
        server.start()
        assert seconds_until_hits() < BOUND


def seconds_until_hits() -> float:
    """Return how long it takes until a whole page comes from the cache."""
    began = time.monotonic()
    while time.monotonic() < began + 2 * BOUND:
        counters.reset()
        seconds_of("names")
        if happened(Event.HIT) == FRAGMENTS:
            break
        time.sleep(0.05)
    return time.monotonic() - began


@each_server
def test_a_restart_between_two_pages_is_not_noticed(name: str, start_server: StartServer) -> None:
    """The connections that were kept are closed, and replaced at once."""
    server = start_server(name)
    with site(server, is_direct=True, is_patient=True, PAGE_BUDGET=60):
        seconds_of("names")
        server.stop(signal.SIGKILL)
        server.start()
        counters.reset()
        seconds_of("names")
        assert happened(Event.CACHE_ERROR) == 0
        # The first page cannot know that its tokens were not lost while it was built.
        seconds_of("names")
        counters.reset()
        seconds_of("names")
        assert happened(Event.HIT) == FRAGMENTS


@each_server
def test_writing_is_tried_as_soon_as_the_cache_can_be_read_from(
    name: str, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for that, and not for the end of a pause: without tokens nothing is stored."""
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 10 * BOUND)
    monkeypatch.setattr(breaker, "LONGEST_PAUSE", 10 * BOUND)
    may_answer, has_asked = threading.Event(), threading.Event()
    with site(start_server(name), is_direct=True):
        seconds_of("names")
        cache = store()
        monkeypatch.setattr(cache.reads, "_probe", lambda: may_answer.wait(BOUND))
        asked = cache.writes._probe
        monkeypatch.setattr(cache.writes, "_probe", lambda: (has_asked.set(), asked()))
        cache.reads.fail(was_waited_for=True)
        cache.writes.fail(was_waited_for=True)
        assert has_asked.wait(BOUND)
        assert cache.writes.open_since

        may_answer.set()
        end = time.monotonic() + BOUND
        while cache.writes.open_since and time.monotonic() < end:
            time.sleep(0.01)
        assert not cache.writes.open_since


@each_server
def test_a_server_that_stalls_is_used_again_as_soon_as_it_answers(
    name: str, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread asks at once; it does not pause first."""
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 10 * BOUND)
    with site(start_server(name), is_direct=True) as faulty:
        seconds_of("names")
        freeze(faulty.server)
        seconds_of("names")
        assert store().reads.open_since
        faulty.server.thaw()
        assert seconds_until_hits() < BOUND


@each_server
def test_one_thread_asks_for_all_visitors_in_growing_pauses(
    name: str, start_server: StartServer
) -> None:
    of_others = set(threading.enumerate())
    with site(start_server(name)) as faulty:
        for _visit in range(5):
            seconds_of("names")
        faulty.proxy.fault = RESET
        for _visit in range(5):
            seconds_of("names")
        assert store().reads.open_since
        before = faulty.proxy.connections
        began = time.monotonic()
        asking = visit_for(6 * FIRST_PAUSE, of_others)
        pauses = (time.monotonic() - began) / FIRST_PAUSE / (1 - JITTER)

        assert asking == 1
        # Probes at once, and after 1, 3 and 7 pauses at the most; each may connect once more.
        assert 1 <= faulty.proxy.connections - before <= 2 * (2 + math.log2(1 + pauses))
        assert happened(Event.CACHE_ERROR) <= 3


def visit_for(seconds: float, of_others: set[threading.Thread]) -> int:
    """Visit pages; return how many threads asked the cache at the most."""
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        seconds_of("names")
        names = [thread.name for thread in threading.enumerate() if thread not in of_others]
        most = max(most, sum(name.startswith("fragcache guard of") for name in names))
        time.sleep(0.02)
    return most


def test_connecting_to_redis_takes_no_round_trip(start_server: StartServer) -> None:
    """Each would come out of the budget of the page that connects."""
    with site(start_server("redis"), is_direct=True):
        pool = store().backend._connection(write=False).connection_pool  # type: ignore[attr-defined]
        connection = pool.make_connection()
        sent: list[object] = []
        connection.send_packed_command = lambda *command, **options: sent.append(command)
        connection.connect()
        assert connection.is_connected
        assert sent == []
        connection.disconnect()


def test_connecting_to_redis_reads_no_files(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py looks up its own version in its package's, for 1.7 ms of each connection."""
    with site(start_server("redis"), is_direct=True):
        pool = store().backend._connection(write=False).connection_pool  # type: ignore[attr-defined]
        looked_up: list[str] = []
        monkeypatch.setattr("importlib.metadata.version", lambda name: looked_up.append(name) or "")
        pool.make_connection()
        assert looked_up == []


@each_server
def test_a_cache_that_can_be_read_and_not_written_stays_closed_for_writing(
    name: str, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe for writing writes, and waits until reading works."""
    monkeypatch.setattr(Breaker, "_see_to_prober", lambda self: None)
    with site(start_server(name), is_patient=True) as faulty:
        cache = store()
        cache.reads.fail(was_waited_for=True)
        cache.writes.fail(was_waited_for=True)
        assert not cache.writes.try_to_close()
        assert cache.reads.try_to_close()
        faulty.proxy.fault = RESET
        assert not cache.writes.try_to_close()
        faulty.repair()
        assert cache.writes.try_to_close()
