"""Retention: minutes of all processes become one, then hours, which are kept for a week."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from django.db import transaction
from django.db.models import Count

from fragcache.counters import add
from fragcache.models import Counts
from fragcache.stats.keeping import MINUTE, UNSAVED, Sheets, database, packed, unpacked

HOUR: Final = 3_600
#: Seconds for which minutes are kept, at least.
MINUTES_KEPT: Final = 2 * HOUR
#: Seconds after which no process writes a minute again: that of all processes is one row from then
#: on, since what the admin reads, it reads at once.
TOGETHER: Final = 2 * UNSAVED * MINUTE
#: Seconds for which hours are kept: seven days and the one that has begun.
HOURS_KEPT: Final = 8 * 24 * HOUR
#: Seconds after which each process looks for what is to be done.
INTERVAL: Final = 1_800.0
#: How many hours are dealt with at once.
_AT_ONCE: Final = 24
_ROWS_AT_ONCE: Final = 200
_UNITS: Final = {MINUTE: "minute", HOUR: "hour"}


class _Raced(Exception):
    """Another process has dealt with the same rows."""


def tidy(now: int) -> None:
    """Make one row of what is old enough, hours of older minutes, and delete what is too old.

    ``now`` is in seconds since 1970 UTC. Any number of processes may do so at the same time.
    """
    alias = database()
    if alias is None:
        return
    rows = Counts.objects.using(alias)
    horizon = (now - MINUTES_KEPT) // HOUR * HOUR
    old = rows.filter(seconds=MINUTE, began__lt=horizon).order_by()
    hours = sorted({at // HOUR * HOUR for at in old.values_list("began", flat=True).distinct()})
    for hour in hours[:_AT_ONCE]:
        _sum_up(hour, HOUR, alias)
    for minute in _minutes_of_several(alias, horizon, now - TOGETHER):
        _sum_up(minute, MINUTE, alias)
    rows.filter(began__lt=now - HOURS_KEPT).delete()


def _minutes_of_several(alias: str, since: int, until: int) -> list[int]:
    """Return the minutes that have several rows."""
    minutes = Counts.objects.using(alias).filter(seconds=MINUTE, began__gte=since, began__lt=until)
    times = minutes.order_by("began").values("began").annotate(times=Count("pk"))
    return list(times.filter(times__gt=1).values_list("began", flat=True))


def _sum_up(began: int, seconds: int, alias: str) -> None:
    """Put one row in the place of the minutes of a span, if nobody else does so meanwhile."""
    with suppress(_Raced), transaction.atomic(using=alias):
        rows = Counts.objects.using(alias)
        minutes = rows.filter(seconds=MINUTE, began__gte=began, began__lt=began + seconds)
        found: list[int] = []
        sums: Sheets = {}
        for pk, sheets in minutes.values_list("pk", "sheets").iterator(_ROWS_AT_ONCE):
            found.append(pk)
            add(sums, unpacked(sheets))
        deleted, _by_model = rows.filter(pk__in=found).delete()
        if not found or deleted != len(found):
            raise _Raced
        # Of an hour there may be several, since late minutes make another one.
        name = f"{_UNITS[seconds]}:{min(found)}"
        rows.create(began=began, seconds=seconds, process=name, sheets=packed(sums))
