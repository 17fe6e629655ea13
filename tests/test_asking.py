"""A target that asks its source over HTTP for what it misses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.template import engines

from fragcache import (
    ExtraMissing,
    FragmentMissing,
    fetch_context,
    get_fragments,
    registry,
    remote_fragment,
)
from fragcache.contexts import asking, courier
from fragcache.counters import Event
from fragcache.page import entered, outside
from fragcache.store import store
from tests.asked_site import AskedSite, url_at
from tests.faults import HEALTHY, RESET, SILENCE, TRICKLE, Proxy
from tests.fixtures import happened, in_request

NAME = "asked.number"
KEY = "the-key-of-the-target"
SECRETS = ["what both sites have"]
BUDGET = 0.1

Target = Callable[..., Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[AskedSite]:
    from django.conf import settings

    site = AskedSite(
        settings.CACHES["fragments"],
        {"API_KEYS": [KEY], "SECRET_KEYS": SECRETS},
        tmp_path_factory.mktemp("asked"),
    )
    yield site
    site.stop()


@pytest.fixture
def source(running: AskedSite) -> Iterator[AskedSite]:
    running.pause(0)
    yield running
    running.pause(0)


@pytest.fixture
def numbers() -> Iterator[int]:
    """Numbers that no test has asked for."""
    return iter(range(next(_thousands) * 1000, 10**9))


_thousands = iter(range(1, 10**6))


@pytest.fixture
def target(settings: Any, source: AskedSite) -> Target:
    """Settings of a site that asks, at an address if it is not that of the source."""

    def on(address: str = "", **changes: Any) -> None:
        asked = {"URL": url_at(address or source.address), "KEY": KEY, "TIMEOUT": 3}
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


@pytest.fixture
def proxy(source: AskedSite) -> Iterator[Proxy]:
    with Proxy(source.address) as proxy:
        yield proxy


def test_shows_what_was_not_published_yet(
    source: AskedSite, target: Target, numbers: Iterator[int]
) -> None:
    n = next(numbers)
    assert fetch_context(NAME, n) == {"n": n, "of": "the source"}
    assert fetch_context(NAME, n, scale=2)["n"] == n
    assert fetch_context(NAME, n)["n"] == n
    assert source.builds[-2:] == [n, n]
    assert happened(Event.ASKED, NAME) == 2


@pytest.mark.parametrize("read_only", [True, False])
def test_shows_it_in_templates_of_its_own(
    source: AskedSite, target: Target, numbers: Iterator[int], templates: Any, read_only: bool
) -> None:
    target(READ_ONLY=read_only)
    templates({"number.html": "<b>{{ n }}</b>"})
    remote_fragment(NAME, "number.html")
    one, two, three = (next(numbers) for _time in range(3))
    html = [f"<b>{n}</b>" for n in (one, two)]
    try:
        assert get_fragments(NAME, [one, two]) == html
        assert get_fragments(NAME, [one, two]) == html
        page = engines["django"].from_string("{% load fragcache %}{% fragment 'asked.number' n %}")
        assert page.render({"n": three}) == f"<b>{three}</b>"
    finally:
        registry.remove(NAME)
    assert sorted(source.builds[-3:]) == [one, two, three]
    assert happened(Event.ASKED, NAME) == 3


def test_asks_nobody_where_no_source_is_set(
    source: AskedSite, target: Target, numbers: Iterator[int]
) -> None:
    target(SOURCE=None)
    with pytest.raises(FragmentMissing):
        fetch_context(NAME, next(numbers))


def test_asks_nobody_in_runs(source: AskedSite, target: Target, numbers: Iterator[int]) -> None:
    page = outside()
    page.is_visited = False
    with entered(page), pytest.raises(FragmentMissing):
        fetch_context(NAME, next(numbers))
    assert happened(Event.ASKED) == 0


def test_that_many_threads_miss_is_built_once(
    source: AskedSite, target: Target, numbers: Iterator[int]
) -> None:
    n = next(numbers)
    source.pause(0.1)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _time: fetch_context(NAME, n)["n"], range(20)))
    assert found == [n] * 20
    assert source.builds.count(n) == 1


def test_is_not_asked_again_for_what_it_has_refused(
    source: AskedSite, target: Target, numbers: Iterator[int], caplog: pytest.LogCaptureFixture
) -> None:
    n = -next(numbers)
    for _time in range(3):
        assert fetch_context(NAME, n, default=None) is None
    assert source.builds.count(n) == 1
    assert happened(Event.SOURCE_ERROR, NAME) == 1
    assert "asked in vain for a context of asked.number: status 500" in caplog.text
    target(INVALIDATION_LAG=0)
    time.sleep(1.1)  # for which a source lets nobody build what has failed
    fetch_context(NAME, n, default=None)
    assert source.builds.count(n) == 2


def test_with_a_key_of_another_site_is_refused_once_for_all(
    source: AskedSite, target: Target, numbers: Iterator[int], caplog: pytest.LogCaptureFixture
) -> None:
    target(source={"KEY": "a-wrong-key"})
    with caplog.at_level(logging.DEBUG):
        for _time in range(3):
            assert fetch_context(NAME, next(numbers), default=None) is None
    assert happened(Event.ASKED) == 1
    assert "status 401" in caplog.text
    assert "a-wrong-key" not in caplog.text


def test_logs_neither_keys_nor_contents(
    source: AskedSite, target: Target, numbers: Iterator[int], caplog: pytest.LogCaptureFixture
) -> None:
    n = next(numbers)
    with caplog.at_level(logging.DEBUG):
        fetch_context(NAME, n)
    for said in (caplog.text, source.log):
        assert not any(secret in said for secret in (KEY, *SECRETS, "the source'"))


def test_says_which_extra_is_missing(
    source: AskedSite, target: Target, numbers: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"pip install 'fragcache\[target\]'"):
        fetch_context(NAME, next(numbers))


class TestAwaySource:
    """What a page waits, and what it shows."""

    @pytest.fixture(autouse=True)
    def budget(self, target: Target, proxy: Proxy) -> None:
        target(proxy.address, PAGE_BUDGET=BUDGET)

    @pytest.fixture
    def known(self, numbers: Iterator[int], proxy: Proxy) -> int:
        """What the source has published while it was there."""
        n = next(numbers)
        until = time.monotonic() + 5
        # The first question is slower: a library is imported, and a connection made.
        while fetch_context(NAME, n, default=None) is None and time.monotonic() < until:
            asking._answered.clear()
        store().local.clear()
        return n

    @pytest.mark.parametrize("fault", [SILENCE, TRICKLE], ids=["silence", "trickle"])
    def test_takes_its_share_of_a_pages_budget_and_no_more(
        self, proxy: Proxy, numbers: Iterator[int], known: int, fault: Any
    ) -> None:
        proxy.fault = fault
        took = []
        for _page in range(6):
            with in_request():
                began = time.monotonic()
                assert fetch_context(NAME, next(numbers), default=None) is None
                assert fetch_context(NAME, next(numbers), default=None) is None
                assert fetch_context(NAME, known)["n"] == known
                took.append(time.monotonic() - began)
        assert max(took) < BUDGET
        assert max(took[:3]) > BUDGET * asking.SHARE / 2  # it was waited for
        assert max(took[3:]) < BUDGET * asking.SHARE / 2  # and then left alone
        assert happened(Event.GUARD_OPEN) > 0
        assert happened(Event.SOURCE_ERROR, NAME) >= 3

    def test_that_resets_connections_is_asked_twice_and_left_alone(
        self, proxy: Proxy, numbers: Iterator[int], known: int
    ) -> None:
        proxy.fault = RESET
        before = proxy.connections
        assert fetch_context(NAME, next(numbers), default=None) is None
        assert 1 <= proxy.connections - before <= 2
        for _page in range(3):
            fetch_context(NAME, next(numbers), default=None)
        assert happened(Event.GUARD_OPEN) > 0
        assert fetch_context(NAME, known)["n"] == known

    def test_is_asked_again_when_it_is_back(
        self, proxy: Proxy, numbers: Iterator[int], known: int
    ) -> None:
        proxy.fault = RESET
        while not happened(Event.GUARD_OPEN):
            fetch_context(NAME, next(numbers), default=None)
        proxy.fault = HEALTHY
        until = time.monotonic() + 5
        while fetch_context(NAME, next(numbers), default=None) is None:
            assert time.monotonic() < until
            time.sleep(0.02)

    def test_shows_nothing_and_says_what_is_missing(
        self, proxy: Proxy, numbers: Iterator[int], known: int
    ) -> None:
        proxy.fault = RESET
        n = next(numbers)
        with pytest.raises(FragmentMissing, match=rf"No context of asked.number\({n}\)"):
            fetch_context(NAME, n)

    def test_publishes_for_the_next_page_what_takes_longer_than_one_waits(
        self, source: AskedSite, numbers: Iterator[int], known: int
    ) -> None:
        source.pause(0.2)
        n = next(numbers)
        assert fetch_context(NAME, n, default=None) is None
        until = time.monotonic() + 5
        while fetch_context(NAME, n, default=None) is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert source.builds.count(n) == 1


def test_asks_not_where_the_cache_does_not_answer(
    source: AskedSite, target: Target, numbers: Iterator[int], start_server: Any, settings: Any
) -> None:
    n = next(numbers)
    fetch_context(NAME, n)
    server = start_server("redis")
    alias = {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": server.address}
    settings.CACHES = {**settings.CACHES, "gone": alias}
    server.stop()
    assert fetch_context(NAME, n, default=None, using="gone") is None
    assert happened(Event.ASKED) == 1
