"""A flood of instances that nobody asks for twice leaves room for the others."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches

from fragcache import Fragment, get_fragment, get_fragments
from fragcache.backends.memcached import MemcachedCache
from fragcache.events import Event
from fragcache.reading import doorkeeper
from tests.fixtures import any_cache, happened, without_local_cache
from tests.pages import later

pytestmark = [any_cache, pytest.mark.usefixtures("cache_alias"), without_local_cache]


@pytest.fixture(autouse=True)
def five_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "FREE", 5)


@pytest.fixture
def flooded(greeting: Fragment) -> Fragment:
    """A fragment of which this process has stored as many as it does in a minute."""
    get_fragments(greeting, [f"early {n}" for n in range(5)])
    return greeting


def test_beyond_so_many_a_minute_the_second_miss_stores(
    flooded: Fragment, renders: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    renders.clear()
    for _time in range(3):
        assert get_fragment(flooded, "late") == "Hello late"
    assert renders == ["late", "late"]
    assert happened(Event.TURNED_AWAY, "library.greeting") == 1
    assert "More than 5 new instances of library.greeting a minute" in caplog.text


def test_what_was_let_in_stays_a_hit(flooded: Fragment, renders: list[str]) -> None:
    for n in range(100):
        get_fragment(flooded, f"flood {n}")
    renders.clear()
    get_fragments(flooded, [f"early {n}" for n in range(5)])
    assert renders == []


def test_of_a_batch_as_many_as_are_free_are_stored(greeting: Fragment, renders: list[str]) -> None:
    names = [f"name {n}" for n in range(8)]
    get_fragments(greeting, names)
    renders.clear()
    get_fragments(greeting, names)
    assert renders == names[5:]
    renders.clear()
    get_fragments(greeting, names)
    assert renders == []


def test_a_minute_later_it_begins_anew(flooded: Fragment, renders: list[str]) -> None:
    with later(doorkeeper.PERIOD + 1):
        get_fragment(flooded, "late")
        renders.clear()
        get_fragment(flooded, "late")
    assert renders == []


def test_each_fragment_has_its_own(flooded: Fragment, declare: Any, renders: list[str]) -> None:
    @declare("greeting.html", name="library.other")
    def other(name: str) -> dict[str, Any]:
        renders.append(name)
        return {"name": name}

    renders.clear()
    for _time in range(2):
        get_fragment(other, "late")
    assert renders == ["late"]


def test_instances_that_the_site_lists_are_no_flood(
    declare: Any, templates: Any, renders: list[int]
) -> None:
    templates({"n.html": "{{ n }}"})

    @declare("n.html", items=lambda: range(20), version=lambda n: 1)
    def number(n: int) -> dict[str, Any]:
        renders.append(n)
        return {"n": n}

    for _time in range(2):
        get_fragments(number, range(20))
    assert renders == list(range(20))


def test_the_hot_set_survives_a_flood(
    greeting: Fragment, settings: Any, start_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A10, reduced: a hundred megabytes of distinct instances, for a server with room for 64."""
    monkeypatch.setattr(doorkeeper, "FREE", 200)
    server = start_server("memcached")
    settings.CACHES = {
        **settings.CACHES,
        "small": {
            "BACKEND": f"{MemcachedCache.__module__}.{MemcachedCache.__qualname__}",
            "LOCATION": server.address,
        },
    }
    settings.FRAGCACHE = {"CACHE_ALIAS": "small", "LOCAL_MAX_BYTES": 0, "PAGE_BUDGET": None}
    long = "x" * 100_000
    hot = [f"hot {n} {long}" for n in range(50)]
    get_fragments(greeting, hot)
    lost = 0
    for n in range(100):
        get_fragments(greeting, [f"flood {n} {m} {long}" for m in range(10)])
        found = happened(Event.MISSING, "library.greeting")
        get_fragments(greeting, hot[n % 50 : n % 50 + 1])
        lost += happened(Event.MISSING, "library.greeting") - found
    assert lost <= 1
    assert int(caches["small"].server_stats()[0].figures["bytes"]) < 300 * len(long)
