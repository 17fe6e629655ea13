"""A healthy cache stays in use behind busy threads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest
from django.test import Client

from fragcache import counters
from fragcache.events import Event
from fragcache.store import store
from tests.faulty_site import BUDGET, FRAGMENTS, seconds_of, site
from tests.fixtures import happened
from tests.pages import SERVERS
from tests.processes import Server
from tests.threads import at_once, busy_threads

pytestmark = [
    pytest.mark.usefixtures("cards"),
    pytest.mark.no_cover,  # which would be most of the time that is measured
]

StartServer = Callable[[str], Server]

THREADS = 32
SECONDS = 1.0
ATTEMPTS = 4
each_server = pytest.mark.parametrize("name", SERVERS)


@each_server
@pytest.mark.parametrize("page", ["single", "names"])
def test_32_threads_of_a_process_never_open_the_guard(
    name: str, page: str, start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that the machine itself keeps waiting for a tenth of a second is not healthy."""
    server = start_server(name)
    for _attempt in range(ATTEMPTS):
        counters.reset()
        caplog.clear()
        with site(server, is_direct=True):
            for _visit in range(3):
                seconds_of(page)
            visit_from_threads(page)
        # Waiting for a processor may use up the budget of every page of a slow machine.
        used = happened(Event.HIT) + happened(Event.OVER_BUDGET)
        if used and happened(Event.GUARD_OPEN) == 0:
            break
    assert happened(Event.GUARD_OPEN) == 0
    assert "is open" not in caplog.text
    assert used > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not say since when")
@each_server
def test_waiting_for_busy_threads_takes_nothing_of_a_pages_budget(
    name: str, start_server: StartServer
) -> None:
    """A page of 50 round trips; after each it waits until others let it go on."""
    with site(start_server(name), is_direct=True):
        for _visit in range(5):
            seconds_of("single")
        for _attempt in range(ATTEMPTS):
            counters.reset()
            with busy_threads(0.01):
                seconds = seconds_of("single")
            assert seconds > 3 * BUDGET
            if happened(Event.OVER_BUDGET) == 0 and happened(Event.HIT) == FRAGMENTS:
                break
            store().reads.close()
        assert happened(Event.OVER_BUDGET) == 0
        assert happened(Event.HIT) == FRAGMENTS


def visit_from_threads(page: str) -> None:
    end = time.monotonic() + SECONDS

    def visit() -> None:
        client = Client()
        while time.monotonic() < end:
            seconds_of(page, client)

    at_once(visit, THREADS)
