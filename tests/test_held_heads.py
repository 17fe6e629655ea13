"""What has no version is found in process memory for INVALIDATION_LAG, without its head."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fragcache import get_fragment, get_fragments, invalidate, invalidate_all
from fragcache.events import Event
from fragcache.reading import early
from fragcache.store import store
from tests.block_pages import Counter
from tests.fixtures import Clock, RoundTrips, elsewhere, happened, in_request

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["redis", "embedded"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]


@pytest.fixture
def hits(declare: Any, templates: Any, n: Counter) -> Any:
    templates({"hits.html": "{{ pk }}:{{ n }}"})

    @declare("hits.html", name="library.hits", timeout=600)
    def hits(pk: int) -> dict[str, Any]:
        return {"pk": pk, "n": n}

    return hits


def test_a_hot_instance_costs_no_round_trip(hits: Any, trips: RoundTrips) -> None:
    for _ in range(2):  # rendered, and found
        get_fragments(hits, [1, 2])
    trips.clear()
    for _ in range(3):
        with in_request():
            assert get_fragments(hits, [2, 1]) == ["2:2", "1:1"]
    assert trips == []
    assert happened(Event.HIT, "library.hits") == 8


def test_one_that_is_not_held_asks_for_all_in_one(hits: Any, trips: RoundTrips) -> None:
    get_fragments(hits, [1])
    get_fragments(hits, [2])
    store().local.clear()
    get_fragments(hits, [2])
    trips.clear()
    with in_request():
        assert get_fragments(hits, [1, 2]) == ["1:1", "2:2"]
    assert [len(trip.keys) > 2 for trip in trips][:1] == [True]


def test_heads_move_on_and_are_asked_for_again(
    hits: Any, clock: Clock, n: Counter, trips: RoundTrips
) -> None:
    get_fragment(hits, 1)
    clock.step(6)
    trips.clear()
    get_fragment(hits, 1)
    assert len(trips) == 1


def test_also_when_the_clock_was_set_back(hits: Any, clock: Clock) -> None:
    assert [get_fragment(hits, 1) for _ in "12"] == ["1:1", "1:1"]
    clock.step(-3600)
    # What is stored is of a time that has not come: none of it is believed.
    assert get_fragment(hits, 1) == "1:2"


def test_an_invalidation_counts_at_once_where_it_is_made(hits: Any) -> None:
    assert get_fragment(hits, 1) == "1:1"
    invalidate(hits, 1)
    assert get_fragment(hits, 1) == "1:2"
    invalidate_all(hits)
    assert get_fragment(hits, 1) == "1:3"


def test_and_elsewhere_when_its_tokens_are_read_again(
    hits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [get_fragment(hits, 1) for _ in "12"] == ["1:1", "1:1"]
    with elsewhere():
        invalidate(hits, 1)
    assert get_fragment(hits, 1) == "1:1"
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert get_fragment(hits, 1) == "1:2"


def test_its_time_out_is_none_the_later(hits: Any, clock: Clock) -> None:
    get_fragment(hits, 1)
    clock.step(598)
    assert get_fragment(hits, 1) == "1:1"
    clock.step(3)
    assert get_fragment(hits, 1) == "1:2"


def test_what_is_about_to_end_is_renewed_early(
    hits: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_fragment(hits, 1)
    monkeypatch.setattr(early.costs, "usual", lambda _name: 1e12)
    with in_request():
        assert get_fragment(hits, 1) == "1:1"
    assert happened(Event.RENDERED, "library.hits") == 2


def test_inside_of_a_render_the_cache_is_asked(
    hits: Any, declare: Any, templates: Any, trips: RoundTrips
) -> None:
    templates({"outer.html": '{% load fragcache %}{% fragment "library.hits" 1 %}'})

    @declare("outer.html", version=lambda: 1)
    def outer() -> dict[str, Any]:
        return {}

    get_fragment(hits, 1)
    trips.clear()
    assert get_fragment(outer) == "1:1"
    assert any("library.hits" in key for trip in trips for key in trip.keys if "@" in key)


@pytest.mark.without_local_cache
def test_without_a_local_cache_the_cache_is_asked(hits: Any, trips: RoundTrips) -> None:
    get_fragment(hits, 1)
    trips.clear()
    get_fragment(hits, 1)
    assert trips != []
