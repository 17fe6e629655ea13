"""Retention: minutes become hours, and hours are kept for a week."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from fragcache.counters import add
from fragcache.models import Counts
from fragcache.stats.keeping import MINUTE, Sheets, database, packed, unpacked

HOUR: Final = 3_600
#: Seconds for which minutes are kept, at least.
MINUTES_KEPT: Final = 2 * HOUR
#: Seconds for which hours are kept: seven days and the one that has begun.
HOURS_KEPT: Final = 8 * 24 * HOUR
#: Seconds after which each process looks for what is to be done.
INTERVAL: Final = 1_800.0
#: How many hours are dealt with at once.
_AT_ONCE: Final = 24
_ROWS_AT_ONCE: Final = 200


class _Raced(Exception):
    """Another process has dealt with the same hour."""


def tidy(now: int) -> None:
    """Make hours of the minutes that are old enough, and delete what is too old.

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
        try:
            _roll_up(hour, alias)
        except _Raced:
            continue
    rows.filter(began__lt=now - HOURS_KEPT).delete()


def _roll_up(hour: int, alias: str) -> None:
    """Put one row in the place of the minutes of an hour, if nobody else does so meanwhile."""
    rows = Counts.objects.using(alias)
    minutes = rows.filter(seconds=MINUTE, began__gte=hour, began__lt=hour + HOUR)
    with transaction.atomic(using=alias):
        found: list[int] = []
        sums: Sheets = {}
        for pk, sheets in minutes.values_list("pk", "sheets").iterator(_ROWS_AT_ONCE):
            found.append(pk)
            add(sums, unpacked(sheets))
        deleted, _by_model = minutes.delete()
        if not found or deleted != len(found):
            raise _Raced
        # Of an hour there may be several, since late minutes make another one.
        name = f"hour:{min(found)}"
        rows.create(began=hour, seconds=HOUR, process=name, sheets=packed(sums))
