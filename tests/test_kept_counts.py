"""Counts as they are kept: by process and minute, rolled up to hours, and read by span."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection

from fragcache import counters
from fragcache.events import Event, Measure
from fragcache.exceptions import CountsUnavailable
from fragcache.models import Counts
from fragcache.stats import history, ledger, retention
from fragcache.stats.keeping import UNSAVED, Keeper, packed, unpacked
from tests.fixtures import happened

NOW = 1_800_000_000
LABEL = ("blog.card", "language=s2:en")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_counts")]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets the clock."""

    def at(moment: float) -> None:
        monkeypatch.setattr(time, "time", lambda: moment)

    at(NOW)
    return at


@pytest.fixture
def keeper(at: Any) -> Keeper:
    return Keeper()


@pytest.fixture
def broken() -> Any:
    """A function that takes the table away, or gives it back."""

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    return rename


def count(times: int = 1) -> None:
    counters.count_many(*LABEL, {Event.HIT: times})


def row(began: int, *, seconds: int = 60, process: str = "p", hits: int = 1) -> Counts:
    sheets = packed({LABEL: {Event.HIT: hits}})
    return Counts.objects.create(began=began, seconds=seconds, process=process, sheets=sheets)


def hits(seconds: int) -> int:
    return history.counted(seconds, now=NOW).get(LABEL, {}).get(Event.HIT, 0)


class TestAProcess:
    def test_has_one_row_a_minute_that_grows(self, keeper: Keeper, at: Any) -> None:
        count(3)
        assert keeper.flush()
        count(4)
        counters.count_many("blog.card", "", {Measure.ERRORS: 1})
        assert keeper.flush()

        kept = Counts.objects.get()
        assert (kept.began, kept.seconds) == (NOW, 60)
        assert kept.process == keeper.process
        assert kept.sheets == [[*LABEL, {"hit": 7}], ["blog.card", "", {"errors": 1}]]

        at(NOW + 60)
        count(1)
        keeper.flush()
        assert [len(kept.sheets) for kept in Counts.objects.all()] == [2, 1]

    def test_loses_nothing_when_the_clock_goes_back(self, keeper: Keeper, at: Any) -> None:
        count(3)
        keeper.flush()
        at(NOW + 60)
        count(4)
        keeper.flush()
        at(NOW + 10)
        count(5)
        keeper.flush()
        assert sum(unpacked(one.sheets)[LABEL]["hit"] for one in Counts.objects.all()) == 12

    def test_writes_nothing_where_nothing_was_counted(
        self, keeper: Keeper, django_assert_num_queries: Any
    ) -> None:
        count()
        keeper.flush()
        with django_assert_num_queries(0):
            assert keeper.flush()

    def test_has_a_row_of_its_own(self, keeper: Keeper) -> None:
        count(3)
        keeper.flush()
        count(4)
        Keeper().flush()
        assert Counts.objects.count() == 2
        assert hits(3_600) == 7

    def test_keeps_what_cannot_be_written_and_counts_nothing_twice(
        self, keeper: Keeper, at: Any, broken: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        count(1)
        keeper.flush()
        broken("fragcache_counts", "elsewhere")
        count(2)
        assert not keeper.flush()
        at(NOW + 61)
        count(4)
        assert not keeper.flush()
        broken("elsewhere", "fragcache_counts")

        assert keeper.flush()

        found = {kept.began: unpacked(kept.sheets)[LABEL]["hit"] for kept in Counts.objects.all()}
        assert found == {NOW: 3, NOW + 60: 4}
        assert happened(Event.UNRECORDED) == 2
        [line] = [record.getMessage() for record in caplog.records]
        assert "fragcache_counts" in line
        assert 'FRAGCACHE["STATS"] = "process" does without.' in line

    def test_keeps_a_bounded_number_of_minutes(self, keeper: Keeper, at: Any, broken: Any) -> None:
        broken("fragcache_counts", "elsewhere")
        for number in range(2 * UNSAVED):
            at(NOW + 60 * number)
            count()
            keeper.flush()
        broken("elsewhere", "fragcache_counts")
        keeper.flush()

        kept = [one.began for one in Counts.objects.filter(began__gt=0)]
        assert kept == [NOW + 60 * n for n in range(UNSAVED, 2 * UNSAVED)]

    def test_of_a_site_without_a_database_counts_for_itself(
        self, keeper: Keeper, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fragcache.stats.keeping.database", lambda: None)
        monkeypatch.setattr("fragcache.stats.history.database", lambda: None)
        count(5)
        assert keeper.flush()
        assert counters.sheets() == {LABEL: {Event.HIT: 5}}
        with pytest.raises(
            CountsUnavailable, match=r"this site has none: each .*sheets\(\) tell\."
        ):
            history.counted(60)

    def test_that_keeps_its_counts_to_itself_says_so(self, settings: Any) -> None:
        settings.FRAGCACHE = {"STATS": "process"}
        with pytest.raises(CountsUnavailable, match="'STATS'] is 'process': each process knows"):
            history.counted(60)

    def test_that_has_no_table_says_so(self, broken: Any) -> None:
        broken("fragcache_counts", "elsewhere")
        with pytest.raises(CountsUnavailable, match="If the table is missing, `manage"):
            history.counted(60)


class TestTidying:
    def test_makes_hours_of_minutes_and_loses_none(self) -> None:
        old = (NOW - 5 * 3_600) // 3_600 * 3_600
        for minute in range(0, 2 * 3_600, 600):
            for process in "ab":
                row(old + minute, process=process, hits=2)
        young = row(NOW - 600)

        retention.tidy(NOW)

        assert hits(24 * 3_600) == 2 * 12 * 2 + 1
        assert list(Counts.objects.filter(seconds=60)) == [young]
        hours = Counts.objects.filter(seconds=3_600)
        assert [hour.began for hour in hours] == [old, old + 3_600]

    def test_makes_one_row_of_a_minute_that_several_processes_have_counted_in(self) -> None:
        minute = NOW // 60 * 60 - retention.TOGETHER - 60
        for process in "abc":
            row(minute, process=process, hits=2)
            row(minute + 120, process=process, hits=1)  # in which one may still write
        alone = row(minute - 60, process="a", hits=1)

        for _time in range(2):
            retention.tidy(NOW)
            assert hits(3_600) == 3 * 2 + 3 * 1 + 1
        kept = Counts.objects.filter(began=minute)
        assert [(one.seconds, len(one.sheets)) for one in kept] == [(60, 1)]
        assert Counts.objects.filter(began=minute + 120).count() == 3
        assert alone in Counts.objects.all()

    def test_adds_what_comes_late(self) -> None:
        old = (NOW - 5 * 3_600) // 3_600 * 3_600
        row(old, hits=3)
        retention.tidy(NOW)
        row(old + 60, hits=4)
        retention.tidy(NOW)
        assert hits(24 * 3_600) == 7
        assert Counts.objects.filter(seconds=3_600, began=old).count() == 2

    def test_keeps_minutes_for_two_hours_and_hours_for_a_week(self) -> None:
        row(NOW - 2 * 3_600)
        row(NOW - 7 * 24 * 3_600, seconds=3_600)
        row(NOW - 9 * 24 * 3_600, seconds=3_600, hits=100)
        retention.tidy(NOW)
        assert Counts.objects.filter(seconds=60).count() == 1
        assert Counts.objects.filter(seconds=3_600).count() == 1

    def test_of_an_hour_that_another_process_deals_with_counts_nothing_twice(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = (NOW - 5 * 3_600) // 3_600 * 3_600
        for minute in range(0, 600, 60):
            row(old + minute)
        unpacked = retention.unpacked
        others = iter([lambda: Counts.objects.filter(began=old).delete()])

        def meanwhile(sheets: Any) -> Any:
            next(others, lambda: None)()
            return unpacked(sheets)

        monkeypatch.setattr(retention, "unpacked", meanwhile)
        retention.tidy(NOW)
        # The transaction is rolled back, with the deletion that stands for the other process.
        assert not Counts.objects.filter(seconds=3_600).exists()
        retention.tidy(NOW)
        assert hits(24 * 3_600) == 10


class TestASpan:
    def test_of_an_hour_is_of_minutes(self) -> None:
        row(NOW - 3_600)
        row(NOW - 3_660, hits=100)
        assert hits(3_600) == 1

    def test_of_a_day_begins_with_a_whole_hour(self) -> None:
        first = (NOW - 24 * 3_600) // 3_600 * 3_600
        row(first, seconds=3_600)
        row(first - 3_600, seconds=3_600, hits=100)
        row(NOW - 60)
        assert hits(24 * 3_600) == 2

    def test_is_read_once_with_the_week_around_it(self, django_assert_num_queries: Any) -> None:
        row(NOW - 60, hits=2)
        row(NOW - 3_660, hits=3)
        row((NOW - 9 * 3_600) // 3_600 * 3_600, seconds=3_600, hits=5)
        week = history.SPANS["7d"]
        with django_assert_num_queries(1):
            found, longer = history.counted_and_longer(3_600, longer=week, now=NOW)
        assert found == history.counted(3_600, now=NOW) == {LABEL: {"hit": 2}}
        assert longer == history.counted(week, now=NOW) == {LABEL: {"hit": 10}}
        with django_assert_num_queries(1):
            [account] = ledger.accounts(3_600, now=NOW)
        assert account.hits == 2

    def test_has_steps_with_and_without_counts(self) -> None:
        row(NOW - 120, hits=2)
        row(NOW, hits=3)
        found = history.steps(180, now=NOW)
        assert [(step.began - NOW, step.sheets.get(LABEL)) for step in found] == [
            (-180, None),
            (-120, {"hit": 2}),
            (-60, None),
            (0, {"hit": 3}),
        ]

    def test_of_days_has_steps_of_hours(self) -> None:
        first = (NOW - 24 * 3_600) // 3_600 * 3_600
        row(first, seconds=3_600)
        row(NOW - 60, hits=4)
        found = history.steps(24 * 3_600, step=3_600, now=NOW)
        assert len(found) == 25
        assert found[0].sheets == {LABEL: {"hit": 1}}
        assert sum(step.sheets.get(LABEL, {}).get("hit", 0) for step in found) == 5
