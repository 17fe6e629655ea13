"""The bounds of a run: how fast, how long, and what it does first."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core.cache import caches

from fragcache import Fragment, get_fragment
from fragcache.digests import digest_of
from fragcache.keys import base_key, encode_axes, entry_key, suffix
from fragcache.store import store
from fragcache.warming import Plan, Report, Run, Status
from fragcache.warming.allowance import Allowance, Bounds
from tests.fixtures import RoundTrips, any_cache
from tests.stopwatch import Stopwatch
from tests.warming import all_fresh, counted, warm

pytestmark = [any_cache, pytest.mark.usefixtures("cache_alias")]


class Shelf:
    """Numbers with versions, of which some are dear to render."""

    def __init__(self, declare: Any, templates: Any) -> None:
        templates({"number.html": "{{ n }}"})
        self.versions = dict.fromkeys(range(10), 1)
        self.rendered: list[int] = []
        self.seconds = 0.0

        @declare(
            "number.html",
            name="library.number",
            items=lambda: list(self.versions),
            version=lambda n: self.versions[n],
        )
        def number(n: int) -> dict[str, Any]:
            time.sleep(self.seconds)
            self.rendered.append(n)
            return {"n": n}

        self.fragment: Fragment = number

    def warm(self, **plan: Any) -> Report:
        self.rendered.clear()
        return warm(self.fragment, **plan)


@pytest.fixture
def shelf(declare: Any, templates: Any) -> Shelf:
    return Shelf(declare, templates)


class TestOrder:
    def test_with_a_time_budget_what_is_missing_comes_before_what_is_stale(
        self, shelf: Shelf
    ) -> None:
        del shelf.versions[8], shelf.versions[9]
        shelf.warm()
        shelf.versions |= {0: 2, 3: 2, 8: 1, 9: 1}

        report = shelf.warm(time_budget=60, batch_size=2)

        assert shelf.rendered == [8, 9, 0, 3]
        assert counted(report) == {"planned": 10, "fresh": 6, "rendered": 4, "stored": 4}
        assert report.status is Status.OK

    def test_what_is_rendered_at_every_run_comes_last(
        self, shelf: Shelf, declare: Any, templates: Any
    ) -> None:
        @declare("number.html", name="library.always", items=lambda: [1, 2])
        def always(n: int) -> dict[str, Any]:
            shelf.rendered.append(-n)
            return {"n": n}

        warm(always, shelf.fragment)
        shelf.versions[4] = 2
        shelf.rendered.clear()

        report = warm(always, shelf.fragment, time_budget=60)

        assert shelf.rendered == [4, -1, -2]
        assert counted(report) == {"planned": 12, "fresh": 9, "rendered": 3, "stored": 3}

    def test_without_one_a_batch_is_done_at_once(self, shelf: Shelf) -> None:
        shelf.warm(limit=2)
        shelf.versions[0] = 2
        shelf.warm(batch_size=5)

        assert shelf.rendered == [2, 3, 4, 0, 5, 6, 7, 8, 9]

    def test_what_was_evicted_is_missing(self, shelf: Shelf, cache_alias: str) -> None:
        shelf.warm()
        [key] = entries_of(cache_alias, shelf.fragment, 7)
        caches[cache_alias].delete(key)
        shelf.versions[1] = 2

        shelf.warm(time_budget=60)

        assert shelf.rendered == [7, 1]


def entries_of(alias: str, fragment: Fragment, n: int) -> list[str]:
    instance = fragment.parameters.instance((n,), {})
    axes = encode_axes({"language": "en-us", "time_zone": "UTC"})
    base = base_key(fragment.name, instance.encoded, axes)
    return [entry_key(base, suffix("1", digest_of(fragment)), store(alias).room)]


class TestTimeBudget:
    def test_it_ends_the_run_in_time_and_says_what_is_left(self, shelf: Shelf) -> None:
        shelf.seconds = 0.2
        with Stopwatch() as watch:
            report = shelf.warm(time_budget=0.5)

        assert watch.seconds < 1.5
        assert report.status is Status.INCOMPLETE
        assert 1 <= len(shelf.rendered) < 10
        assert report.totals.left == 10 - len(shelf.rendered)
        shelf.seconds = 0
        assert shelf.warm().totals.fresh == 10 - report.totals.left

    def test_none_is_rendered_in_no_time(self, shelf: Shelf) -> None:
        report = shelf.warm(time_budget=0)
        assert (report.status, shelf.rendered) == (Status.INCOMPLETE, [])

    def test_it_is_enough_where_nothing_is_due(self, shelf: Shelf) -> None:
        shelf.warm()
        report = shelf.warm(time_budget=60)
        assert (report.status, counted(report)) == (Status.OK, all_fresh(10))

    def test_what_was_rendered_is_stored(self, shelf: Shelf) -> None:
        shelf.seconds = 0.05
        shelf.warm(time_budget=0.12)
        done = list(shelf.rendered)
        for n in done:
            get_fragment(shelf.fragment, n)
        assert shelf.rendered == done


class TestMaxRate:
    def test_it_is_kept(self, shelf: Shelf) -> None:
        shelf.versions = dict.fromkeys(range(30), 1)
        began = time.monotonic()
        report = shelf.warm(max_rate=40)

        # The last portion, half a second's 20, is not waited for.
        assert time.monotonic() - began >= 0.5
        assert counted(report)["stored"] == 30

    def test_it_counts_over_batches(self, shelf: Shelf) -> None:
        began = time.monotonic()
        shelf.warm(max_rate=20, batch_size=1)
        assert time.monotonic() - began >= 0.45

    def test_a_run_that_waits_for_its_pace_can_be_stopped(self, shelf: Shelf) -> None:
        plan = Plan(fragments=[shelf.fragment], max_rate=0.01)
        with Stopwatch() as watch:
            report = Run(plan, is_stopped=lambda: bool(shelf.rendered)).execute()

        assert watch.seconds < 2
        assert (report.status, len(shelf.rendered)) == (Status.INTERRUPTED, 1)
        assert report.totals.stored == 1

    def test_it_waits_no_longer_than_the_time_budget(self, shelf: Shelf) -> None:
        with Stopwatch() as watch:
            report = shelf.warm(max_rate=0.01, time_budget=0.3)

        assert watch.seconds < 2
        assert (report.status, len(shelf.rendered)) == (Status.INCOMPLETE, 1)


class TestStopping:
    def test_a_batch_that_was_begun_is_finished(self, shelf: Shelf, trips: RoundTrips) -> None:
        """The signal comes when its heads have been read, and nothing was rendered yet."""

        def is_stopped() -> bool:
            return any(len(trip.keys) > 2 for trip in trips.of("get_many"))

        report = Run(
            Plan(fragments=[shelf.fragment], batch_size=4), is_stopped=is_stopped
        ).execute()

        assert report.status is Status.INTERRUPTED
        assert counted(report) == {"planned": 4, "rendered": 4, "stored": 4}


class TestAllowance:
    def test_of_a_limit_what_is_given_back_can_be_had_again(self) -> None:
        allowance = Allowance(Bounds(limit=3))
        assert [list(part) for part in allowance.portions("ab")] == [["a", "b"]]
        allowance.give_back(1)
        assert [list(part) for part in allowance.portions("cdef")] == [["c", "d"]]
        assert list(allowance.portions("g")) == []

    def test_a_rate_is_shared_by_processes_and_a_limit_is_not_divided(self) -> None:
        bounds = Bounds(limit=10, rate=8.0, deadline=5.0).shared_by(4)
        assert bounds == Bounds(limit=10, rate=2.0, deadline=5.0)

    def test_portions_cover_everything_in_order(self) -> None:
        allowance = Allowance(Bounds(rate=1e9, deadline=time.monotonic() + 60))
        due = list(range(1000))
        assert [n for part in allowance.portions(due) for n in part] == due
