"""Counters: what is counted of each call, in which sheet, and in which process."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest
from django.core import checks
from hypothesis import given
from hypothesis import strategies as st

from fragcache import counters, get_fragment, get_fragments
from fragcache.counters import OTHER
from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure
from fragcache.histograms import bucket_of, middle_of, quantile
from fragcache.reading import counting
from tests.fixtures import (
    any_cache,
    counted,
    happened,
    in_request,
    reasons,
    warm,
    without_local_cache,
)
from tests.library.models import Artist
from tests.pages import configure, page
from tests.test_prefetched_misses import PREFETCH, REVERSED
from tests.test_prefetched_misses import calls as calls  # noqa: PLC0414
from tests.threads import at_once

NAME = "library.artist_card"
pytestmark = pytest.mark.django_db


@any_cache
class TestACall:
    def test_is_counted_by_instance_as_hit_or_miss(
        self, cache_alias: str, artist_card: Any, artists: list[Artist]
    ) -> None:
        get_fragments(NAME, artists[:1])
        get_fragments(NAME, [*artists, *artists])

        assert happened(Event.HIT, NAME) == 2
        assert sum(reasons().values()) == happened(Event.MISSING, NAME) == 3
        assert happened(Event.RENDERED, NAME) == happened(Event.STORED, NAME) == 2
        assert counted(Measure.LOOKUP_NS) > 0
        assert counted(Measure.STORE_US) > 0
        assert counted(Measure.BYTES) == len("<b>Nina</b><b>Ella</b>")

    def test_tells_what_the_process_held_from_what_the_cache_gave(
        self, cache_alias: str, artist_card: Any, artists: list[Artist]
    ) -> None:
        get_fragments(NAME, artists)
        get_fragments(NAME, artists)
        assert (counted(Event.HIT), counted(Measure.HIT_LOCAL)) == (2, 2)

        with configure(LOCAL_MAX_BYTES=0):
            get_fragments(NAME, artists)
        assert (counted(Event.HIT), counted(Measure.HIT_LOCAL)) == (4, 2)

    def test_of_one_that_is_held_and_one_that_is_not_is_told_apart(
        self, cache_alias: str, artist_card: Any, artists: list[Artist]
    ) -> None:
        get_fragments(NAME, artists[:1])
        with configure(LOCAL_MAX_BYTES=0):
            get_fragments(NAME, artists[1:])
        counters.reset()

        with configure(LOCAL_MAX_BYTES=10_000):
            get_fragments(NAME, artists[:1])
            get_fragments(NAME, artists)

        assert (counted(Event.HIT), counted(Measure.HIT_LOCAL)) == (3, 1)

    def test_has_the_age_of_what_it_showed(
        self,
        cache_alias: str,
        artist_card: Any,
        artists: list[Artist],
        clock: Any,
        monkeypatch: Any,
    ) -> None:
        monkeypatch.setattr(counting, "SAMPLED", 1)
        get_fragments(NAME, artists)
        clock.step(30)
        get_fragments(NAME, artists)

        (bucket,) = [name for name in _fields() if name.startswith(AGE_BUCKET)]
        assert counted(bucket) == 2
        assert middle_of(int(bucket.removeprefix(AGE_BUCKET))) == pytest.approx(30e6, rel=0.13)

    def test_whose_render_raises_is_counted_as_missed_and_as_an_error(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"n.html": "{{ n }}"})

        @declare("n.html", name="library.failing")
        def failing(n: int) -> dict[str, Any]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            get_fragment("library.failing", 1)

        assert counted(Measure.ERRORS, "library.failing") == 1
        assert reasons() == {"COLD": 1}

    def test_of_what_warming_renders_is_nobodys(
        self,
        cache_alias: str,
        artist_card: Any,
        artists: list[Artist],
        declare: Any,
        templates: Any,
    ) -> None:
        card = "{% load fragcache %}{% fragment 'library.artist_card' pk %}"
        templates({"artist_card.html": "{{ artist.name }}", "outer.html": card})
        pk = artists[0].pk
        outer = declare("outer.html", name="library.outer", version=lambda: 1)(lambda: {"pk": pk})

        warm(artist_card, outer)

        assert happened(Event.HIT, NAME) == happened(Event.MISSING, NAME) == 0
        assert counted(Measure.UNVISITED, NAME) == 1
        assert counted(Measure.WARMED, NAME) == 2

    def test_has_renders_in_buckets(
        self, cache_alias: str, artist_card: Any, artists: list[Artist]
    ) -> None:
        get_fragments(NAME, [*artists, Artist.objects.create(name="Etta")])
        assert counted(Measure.FIRST) == 1
        assert counted(Measure.FIRST_US) > 0
        buckets = {name: counted(name) for name in _fields() if name.startswith(RENDER_BUCKET)}
        assert sum(buckets.values()) == 2
        assert counted(Measure.RENDER_US) > 0

    @without_local_cache
    @pytest.mark.usefixtures("calls")
    def test_of_what_the_page_itself_has_prefetched_and_rendered_is_a_miss(
        self, cache_alias: str, artists: list[Artist]
    ) -> None:
        with in_request():
            page(PREFETCH + REVERSED + REVERSED, artists=artists)

        # Each is shown twice: rendered for the first time, found for the second.
        assert happened(Event.HIT) == 2
        assert happened(Event.MISSING) == sum(reasons().values()) == 2

    def test_is_counted_by_axis_values(self, cache_alias: str, greeting: Any) -> None:
        from django.utils import translation

        for language in ("en", "de", "de"):
            with translation.override(language):
                get_fragment("library.greeting", "Ann")

        sheets = counters.sheets()
        hits = {axes: sheet.get(Event.HIT, 0) for (_name, axes), sheet in sheets.items() if axes}
        assert sorted((axes.split("language=")[1][:5], n) for axes, n in hits.items()) == [
            ("s2:de", 1),
            ("s2:en", 0),
        ]

    def test_is_counted_without_particulars_when_that_is_off(
        self, cache_alias: str, artist_card: Any, artists: list[Artist]
    ) -> None:
        with configure(STATS="off"):
            get_fragments(NAME, artists)
            get_fragments(NAME, artists)

        assert happened(Event.HIT, NAME) == happened(Event.MISSING, NAME) == 2
        assert counted(Measure.LOOKUP_NS) == 0
        assert not any(axes for _name, axes in counters.sheets())


def test_counts_of_threads_that_have_ended_are_not_lost() -> None:
    def count() -> None:
        for _ in range(1_000):
            counters.count_many("a", "", {Event.HIT: 1, Measure.LOOKUP_NS: 7})

    at_once(count, 8)
    assert counters.sheets() == {("a", ""): {Event.HIT: 8_000, Measure.LOOKUP_NS: 56_000}}


def test_what_was_taken_is_not_taken_again() -> None:
    counters.count(Event.HIT, "a", 2)
    assert counters.take() == {("a", ""): {Event.HIT: 2}}
    counters.count(Event.HIT, "a", 1)
    assert counters.take() == {("a", ""): {Event.HIT: 1}}
    assert counters.take() == {}
    assert counters.totals() == {("a", Event.HIT): 3}


def test_a_forked_process_begins_without_the_counts_of_its_parent() -> None:
    counters.count(Event.HIT, "a")
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        counters.count(Event.STORED, "b")
        os.write(writable, json.dumps(counters.take()["b", ""]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(readable, 1_000) == b'{"stored": 1}'
    assert counters.take() == {("a", ""): {Event.HIT: 1}}


def test_names_and_axis_values_beyond_a_bound_share_a_sheet() -> None:
    for number in range(2 * counters.MAX_AXES):
        counters.count_many("a", f"tenant={number}", {Event.HIT: 1})
    for number in range(2 * counters.MAX_FRAGMENTS):
        counters.count(Event.HIT, f"b{number}")

    found = counters.sheets()

    assert found["a", OTHER][Event.HIT] == counters.MAX_AXES
    assert found[OTHER, ""][Event.HIT] == counters.MAX_FRAGMENTS + 1
    assert len(found) == counters.MAX_AXES + 1 + counters.MAX_FRAGMENTS - 1 + 1


def test_a_collector_is_called_once_for_all_that_is_counted_until_it_takes() -> None:
    called: list[None] = []
    counters.collect_with(lambda: called.append(None))
    try:
        counters.count(Event.HIT, "a")
        counters.count(Event.HIT, "b")
        assert len(called) == 1
        counters.take()
        counters.count(Event.HIT, "b")
        assert len(called) == 2
    finally:
        counters.collect_with(None)


@given(st.integers(0, 10**18))
def test_a_bucket_holds_what_is_within_an_eighth_of_its_middle(value: int) -> None:
    assert abs(middle_of(bucket_of(value)) - value) <= value / 8


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_within_an_eighth_of_the_true_one(values: list[int], share: float) -> None:
    found = quantile(Counter(map(bucket_of, values)), share)
    assert found is not None
    true = next(v for n, v in enumerate(sorted(values), 1) if n >= share * len(values) - 1e-9)
    assert abs(found - true) <= true / 8


def test_there_is_no_quantile_of_nothing() -> None:
    assert quantile({}, 0.5) is None


def test_a_place_that_counts_cannot_be_kept_in_is_an_error(settings: Any) -> None:
    settings.FRAGCACHE = {"STATS": "Redis"}
    (message,) = checks.run_checks(tags=[checks.Tags.caches])
    assert message.id == "fragcache.E004"
    assert message.msg == "FRAGCACHE['STATS'] is 'Redis', which says nowhere to keep counts."


def _fields() -> set[str]:
    return {name for sheet in counters.sheets().values() for name in sheet}
