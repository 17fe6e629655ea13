"""Totals: counters of all processes, which never become less."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction

from fragcache import counters
from fragcache.counters import OTHER
from fragcache.events import Event
from fragcache.exceptions import CountsUnavailable
from fragcache.models import Totals
from fragcache.stats.keeping import Keeper, Running, packed
from fragcache.stats.totals import GONE, fold, totals

NAME = "blog.card"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_counts")]


def count(times: int, axes: str = "") -> None:
    counters.count_many(NAME, axes, {Event.HIT: times})


def hits() -> int:
    return totals().get((NAME, ""), {}).get(Event.HIT, 0)


def fold_all() -> None:
    """Fold the rows of all processes, as if they were gone."""
    fold(int(time.time()) + GONE + 1)


def row(process: str, names: list[str], times: int = 1) -> None:
    sheets = packed({(name, ""): {Event.HIT: times} for name in names})
    Totals.objects.create(process=process, written_at=0, sheets=sheets)


def test_they_are_of_all_processes_and_axis_values() -> None:
    first, second = Keeper(), Keeper()
    count(3, "language=s2:en")
    first.flush()
    count(4, "language=s2:de")
    first.flush()
    count(5)
    second.flush()
    assert totals() == {(NAME, ""): {Event.HIT: 12}}
    assert Totals.objects.count() == 2


def test_they_outlive_processes_that_are_gone() -> None:
    for times in (1, 2, 4):
        count(times)
        Keeper().flush()
    fold(int(time.time()))
    assert Totals.objects.count() == 3
    fold_all()
    assert Totals.objects.count() == 1
    assert hits() == 7
    count(8)
    Keeper().flush()
    assert hits() == 15


def test_a_process_that_was_taken_for_gone_counts_nothing_twice() -> None:
    idle, other = Keeper(), Keeper()
    count(3)
    idle.flush()
    count(4)
    other.flush()
    fold_all()
    for expected in (12, 17):
        count(5)
        assert idle.flush()
        assert hits() == expected
    assert Totals.objects.count() == 2


def test_what_could_not_be_written_is_written_later() -> None:
    keeper = Keeper()
    count(3)
    keeper.flush()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE fragcache_totals RENAME TO elsewhere")
    count(4)
    assert not keeper.flush()
    with pytest.raises(CountsUnavailable, match="If the table is missing"), transaction.atomic():
        totals()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO fragcache_totals")
    assert keeper.flush()
    assert hits() == 7


def test_they_have_a_bounded_number_of_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_FRAGMENTS", 2)
    row("a", ["a", "b"])
    row("b", ["c", "d"], times=5)
    assert totals() == {
        ("a", ""): {Event.HIT: 1},
        ("b", ""): {Event.HIT: 1},
        (OTHER, ""): {Event.HIT: 10},
    }
    fold_all()
    assert set(totals()) == {("c", ""), ("d", "")}


@pytest.mark.server("postgresql")
@pytest.mark.django_db(transaction=True)
def test_they_never_become_less_whoever_folds_and_writes_at_the_same_time() -> None:
    """Each fold takes the rows of processes that are at work, too."""
    writers = [threading.Thread(target=_write, args=(40,)) for _ in range(2)]
    ended = threading.Event()
    folders = [threading.Thread(target=_fold, args=(ended,)) for _ in range(2)]
    for thread in [*writers, *folders]:
        thread.start()
    seen = [0]
    while any(writer.is_alive() for writer in writers):
        seen.append(hits())
    ended.set()
    for thread in [*writers, *folders]:
        thread.join()
    assert seen == sorted(seen)
    assert hits() == 2 * 40 * 3
    assert Totals.objects.filter(process__startswith="gone:").exists()


def _write(times: int) -> None:
    running = Running(f"host:{threading.get_ident()}:0")
    for _ in range(times):
        running.add({(NAME, "language=s2:en"): {Event.HIT: 3}})
        with transaction.atomic():
            running.write("default")
        running.confirm()
    connection.close()


def _fold(ended: Any) -> None:
    while not ended.is_set():
        fold_all()
    connection.close()
