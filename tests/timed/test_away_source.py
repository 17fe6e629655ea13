"""A source that is away: what a page waits for it, and what it shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fragcache import FragmentMissing, fetch_context
from fragcache import page as pages
from fragcache.breaker import FAILURES
from fragcache.contexts import asking
from fragcache.events import Event
from fragcache.store import store
from tests.asked_site import NAME, AskedSite, Target
from tests.faults import HEALTHY, RESET, SILENCE, TRICKLE, Proxy
from tests.faulty_site import BUDGET, FIRST_PAGE
from tests.fixtures import happened, in_request
from tests.stopwatch import Stopwatch


@pytest.fixture
def proxy(asked_source: AskedSite) -> Iterator[Proxy]:
    with Proxy(asked_source.address) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def budget(asking_target: Target, proxy: Proxy) -> None:
    asking_target(proxy.address, PAGE_BUDGET=BUDGET)


@pytest.fixture
def known(numbers: Iterator[int], proxy: Proxy) -> int:
    """What the source has published while it was there."""
    n = next(numbers)
    until = time.monotonic() + 15
    # The first question is slower: a library is imported, and a connection made.
    while fetch_context(NAME, n, default=None) is None and time.monotonic() < until:
        asking._answered.clear()
    store().local.clear()
    return n


@pytest.mark.parametrize("fault", [SILENCE, TRICKLE], ids=["silence", "trickle"])
def test_takes_its_share_of_a_pages_budget_and_no_more(
    proxy: Proxy, numbers: Iterator[int], known: int, fault: Any
) -> None:
    proxy.fault = fault
    took, asked = [], []
    for _page in range(6):
        with in_request():
            with Stopwatch() as watch:
                assert fetch_context(NAME, next(numbers), default=None) is None
                assert fetch_context(NAME, next(numbers), default=None) is None
                assert fetch_context(NAME, known)["n"] == known
            took.append(watch.seconds)
            asked.append(pages.current().asked)
    assert max(took) < FIRST_PAGE
    assert asked[0] >= BUDGET * asking.SHARE  # it was waited for
    assert asked[3:] == [0, 0, 0]  # and then left alone
    assert happened(Event.GUARD_OPEN) > 0
    assert happened(Event.SOURCE_ERROR, NAME) >= FAILURES


def test_that_resets_connections_is_asked_twice_and_left_alone(
    proxy: Proxy, numbers: Iterator[int], known: int
) -> None:
    proxy.fault = RESET
    before = proxy.connections
    assert fetch_context(NAME, next(numbers), default=None) is None
    assert 1 <= proxy.connections - before <= 2
    for _page in range(3):
        fetch_context(NAME, next(numbers), default=None)
    assert happened(Event.GUARD_OPEN) > 0
    assert fetch_context(NAME, known)["n"] == known


def test_is_asked_again_when_it_is_back(proxy: Proxy, numbers: Iterator[int], known: int) -> None:
    proxy.fault = RESET
    while not happened(Event.GUARD_OPEN):
        fetch_context(NAME, next(numbers), default=None)
    proxy.fault = HEALTHY
    until = time.monotonic() + 15
    while fetch_context(NAME, next(numbers), default=None) is None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_shows_nothing_and_says_what_is_missing(
    proxy: Proxy, numbers: Iterator[int], known: int
) -> None:
    proxy.fault = RESET
    n = next(numbers)
    with pytest.raises(FragmentMissing, match=rf"No context of asked.number\({n}\)"):
        fetch_context(NAME, n)


def test_publishes_for_the_next_page_what_takes_longer_than_one_waits(
    asked_source: AskedSite, numbers: Iterator[int], known: int
) -> None:
    asked_source.pause(0.2)
    n = next(numbers)
    assert fetch_context(NAME, n, default=None) is None
    until = time.monotonic() + 15
    while fetch_context(NAME, n, default=None) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert asked_source.builds.count(n) == 1
