"""A target that asks its source over HTTP for what it misses."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.template import engines

from fragcache import (
    ExtraMissing,
    FragmentMissing,
    fetch_context,
    get_fragments,
    manifest,
    registry,
    remote_fragment,
)
from fragcache.contexts import asking, courier
from fragcache.events import Event
from fragcache.page import entered, outside
from fragcache.store import store
from tests.asked_site import KEY, NAME, SECRETS, AskedSite, Target
from tests.fixtures import happened


def test_shows_what_was_not_published_yet(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    n = next(numbers)
    assert fetch_context(NAME, n) == {"n": n, "of": "the source"}
    assert fetch_context(NAME, n, scale=2)["n"] == n
    assert fetch_context(NAME, n)["n"] == n
    assert asked_source.builds[-2:] == [n, n]
    assert happened(Event.ASKED, NAME) == 2


@pytest.mark.parametrize("read_only", [True, False])
def test_shows_it_in_templates_of_its_own(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    templates: Any,
    read_only: bool,
) -> None:
    asking_target(READ_ONLY=read_only)
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
    assert sorted(asked_source.builds[-3:]) == [one, two, three]
    assert happened(Event.ASKED, NAME) == 3


def test_asks_nobody_where_no_source_is_set(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    asking_target(SOURCE=None)
    with pytest.raises(FragmentMissing):
        fetch_context(NAME, next(numbers))


def test_asks_nobody_in_runs(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    page = outside()
    page.is_visited = False
    with entered(page), pytest.raises(FragmentMissing):
        fetch_context(NAME, next(numbers))
    assert happened(Event.ASKED) == 0


def test_that_many_threads_miss_is_built_once(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    n = next(numbers)
    asked_source.pause(0.1)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _time: fetch_context(NAME, n)["n"], range(20)))
    assert found == [n] * 20
    assert asked_source.builds.count(n) == 1


def test_is_not_asked_again_for_what_it_has_refused(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    n = -next(numbers)
    for _time in range(3):
        assert fetch_context(NAME, n, default=None) is None
    assert asked_source.builds.count(n) == 1
    assert happened(Event.SOURCE_ERROR, NAME) == 1
    assert "asked in vain for a context of asked.number: status 500" in caplog.text
    asking_target(INVALIDATION_LAG=0)
    time.sleep(1.1)  # for which a source lets nobody build what has failed
    fetch_context(NAME, n, default=None)
    assert asked_source.builds.count(n) == 2


def test_what_was_asked_takes_little_memory_however_long_it_is(
    asked_source: AskedSite, asking_target: Target, numbers: Iterator[int]
) -> None:
    assert fetch_context(NAME, next(numbers), "x" * 10_000)["of"] == "the source"
    remembered = [*asking._answered._young, *asking._answered._old]
    assert remembered
    assert max(map(len, remembered)) < 100


def test_with_a_key_of_another_site_is_refused_once_for_all(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    asking_target(source={"KEY": "a-wrong-key"})
    with caplog.at_level(logging.DEBUG):
        for _time in range(3):
            assert fetch_context(NAME, next(numbers), default=None) is None
    assert happened(Event.ASKED) == 1
    assert "status 401" in caplog.text
    assert "a-wrong-key" not in caplog.text


def test_logs_neither_keys_nor_contents(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    n = next(numbers)
    with caplog.at_level(logging.DEBUG):
        fetch_context(NAME, n)
    for said in (caplog.text, asked_source.log):
        assert not any(secret in said for secret in (KEY, *SECRETS, "the source'"))


def test_says_which_extra_is_missing(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(courier, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"pip install 'fragcache\[target\]'"):
        fetch_context(NAME, next(numbers))


def test_asks_not_where_the_cache_does_not_answer(
    asked_source: AskedSite,
    asking_target: Target,
    numbers: Iterator[int],
    start_server: Any,
    settings: Any,
) -> None:
    n = next(numbers)
    fetch_context(NAME, n)
    server = start_server("redis")
    alias = {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": server.address}
    settings.CACHES = {**settings.CACHES, "gone": alias}
    # What is known of the fragment is trusted for a while; else nothing would be looked for.
    known = manifest.find(store(), NAME)
    assert known is not None
    manifest._remembered.keep({(store("gone").space, NAME): (time.monotonic(), known)})
    server.stop()
    assert fetch_context(NAME, next(numbers), default=None, using="gone") is None
    assert happened(Event.ASKED) == 1
