"""The ledger: what fragments save, and the verdicts on them."""

from __future__ import annotations

from typing import Any

import pytest

from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.histograms import bucket_of
from fragcache.stats.ledger import Account, Verdict, accounts_of

HOUR = 3_600
#: 900 hits; a render takes 10 ms, a lookup 1 ms, a store 2 ms.
SHEET = {
    Event.HIT: 900,
    Measure.HIT_LOCAL: 300,
    Miss.COLD: 60,
    Miss.NEW_VERSION: 40,
    Measure.LOOKUP_NS: 1_000 * 1_000_000,
    Event.RENDERED: 100,
    Measure.RENDER_US: 100 * 10_000,
    RENDER_BUCKET + str(bucket_of(8_000)): 90,
    RENDER_BUCKET + str(bucket_of(28_000)): 10,
    Event.STORED: 100,
    Measure.STORE_US: 100 * 2_000,
    Measure.BYTES: 100 * 700,
    AGE_BUCKET + str(bucket_of(60_000_000)): 890,
    AGE_BUCKET + str(bucket_of(3_600_000_000)): 10,
}


def account(sheet: Any, *, before: Any = None, seconds: float = HOUR) -> Account:
    found = accounts_of(
        {("a", ""): sheet}, seconds, before=None if before is None else {("a", ""): before}
    )
    return found[0]


class TestAnAccount:
    def test_is_hits_times_what_each_spares_less_misses_times_what_each_costs(self) -> None:
        found = account(SHEET)
        assert found.hit_ratio == 0.9
        assert found.saved_per_hour == pytest.approx(900 * 0.009 - 100 * 0.003)
        assert account(SHEET, seconds=24 * HOUR).saved_per_hour == pytest.approx(7.8 / 24)
        assert found.verdict is Verdict.EARNS

    def test_has_times_and_sizes(self) -> None:
        found = account(SHEET)
        assert (found.render, found.lookup, found.store) == pytest.approx((0.01, 0.001, 0.002))
        assert found.render_p50 == pytest.approx(0.008, rel=0.13)
        assert found.render_p95 == pytest.approx(0.028, rel=0.13)
        assert found.age_p50 == pytest.approx(60, rel=0.13)
        assert found.age_p99 == pytest.approx(3_600, rel=0.13)
        assert found.size == 700
        assert found.misses == {Miss.COLD: 60, Miss.NEW_VERSION: 40}
        assert found.hits_local == 300

    def test_leaves_first_renders_aside_where_there_are_others(self) -> None:
        first = {Event.RENDERED: 102, Measure.FIRST: 2, Measure.FIRST_US: 900_000}
        assert account({**SHEET, **first}).render == pytest.approx(0.01)
        alone = {Event.RENDERED: 2, Measure.FIRST: 2, Measure.FIRST_US: 900_000}
        assert account(alone).render == pytest.approx(0.45)

    def test_takes_the_cost_of_a_render_from_before_where_there_was_none(self) -> None:
        hits = {Event.HIT: 100, Measure.LOOKUP_NS: 100 * 1_000_000}
        assert account(hits).saved_per_hour is None
        assert account(hits).verdict is Verdict.UNKNOWN
        assert account(hits, before=SHEET).saved_per_hour == pytest.approx(100 * 0.009)
        assert account(hits, before=SHEET).verdict is Verdict.EARNS

    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            ({Measure.RENDER_US: 100 * 900}, Verdict.NOT_WORTH_IT),
            ({Event.HIT: 10}, Verdict.UNKNOWN),
            ({Event.HIT: 10, Miss.COLD: 150}, Verdict.TOO_FINE),
            ({Event.HIT: 0, Miss.COLD: 0, Miss.NEW_VERSION: 0}, Verdict.UNKNOWN),
            (
                {Event.HIT: 0, Miss.COLD: 0, Miss.NEW_VERSION: 0, Measure.WARMED: 5},
                Verdict.NEVER_READ,
            ),
            (
                {
                    Event.HIT: 0,
                    Miss.COLD: 0,
                    Miss.NEW_VERSION: 0,
                    Measure.WARMED: 5,
                    Measure.UNVISITED: 1,
                },
                Verdict.UNKNOWN,
            ),
        ],
        ids=["cheap", "few", "fine", "rendered alone", "warmed alone", "read by others alone"],
    )
    def test_has_a_verdict(self, changes: dict[str, int], verdict: Verdict) -> None:
        few = {Miss.COLD: 5, Miss.NEW_VERSION: 5} if verdict is Verdict.UNKNOWN else {}
        assert account({**SHEET, **few, **changes}).verdict is verdict

    def test_is_of_all_axis_values_together_or_of_each(self) -> None:
        sheets = {
            ("a", "language=s2:de"): {**SHEET, Event.HIT: 100},
            ("a", "language=s2:en"): SHEET,
            ("a", ""): {Measure.ERRORS: 3},
            ("", ""): {Event.CACHE_ERROR: 7},
        }
        (together,) = accounts_of(sheets, HOUR)
        assert (together.hits, together.errors) == (1_000, 3)
        english, german = accounts_of(sheets, HOUR, by_axes=True)
        assert (english.axes, english.hits) == ("language=s2:en", 900)
        assert (german.axes, german.hits) == ("language=s2:de", 100)

    def test_comes_before_those_that_save_less(self) -> None:
        sheets = {("a", ""): {**SHEET, Event.HIT: 200}, ("b", ""): SHEET}
        assert [found.fragment for found in accounts_of(sheets, HOUR)] == ["b", "a"]
