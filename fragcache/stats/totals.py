"""Totals: what was counted since counting began, which never becomes less.

Counts by time are deleted after a week; whoever reads a counter from time to time, as Prometheus
does, needs one that only grows. Each process has one row, which it writes again with all that it
has counted since it began, by fragment and without axis values. Rows of processes that are gone
are folded into one. What is read is the sum of all rows, by a single statement: it sees each of
them before or after such a folding, and never both.
"""

from __future__ import annotations

from typing import Final

from django.db import transaction

from fragcache import counters
from fragcache.counters import OTHER, add
from fragcache.models import Totals
from fragcache.stats.history import readable
from fragcache.stats.keeping import Sheets, database, packed, unpacked

#: Seconds after its last write that a process counts as gone. One that is not goes on in a row of
#: its own.
GONE: Final = 3_600
#: How many rows are folded at once.
_AT_ONCE: Final = 200


def totals() -> Sheets:
    """Return what all processes have counted since counting began, by fragment.

    Axis values are "". There are no more fragments than ``counters.MAX_FRAGMENTS``; what is beyond
    is under ``counters.OTHER``.

    Raises:
        CountsUnavailable: nobody knows.
    """
    sums: Sheets = {}
    with readable() as alias:
        rows = Totals.objects.using(alias).values_list("sheets", flat=True)
        for sheets in rows.iterator(_AT_ONCE):
            add(sums, unpacked(sheets))
    names = sorted(sums)
    kept, beyond = names[: counters.MAX_FRAGMENTS], names[counters.MAX_FRAGMENTS :]
    bounded = {label: sums[label] for label in kept}
    for label in beyond:
        add(bounded, {(OTHER, ""): sums[label]})
    return bounded


def fold(now: int) -> None:
    """Put one row in the place of those of processes that are gone.

    ``now`` is in seconds since 1970 UTC. Any number of processes may do so at the same time.
    """
    alias = database()
    if alias is None:
        return
    with transaction.atomic(using=alias):
        _fold(alias, now)


def _fold(alias: str, now: int) -> None:
    rows = Totals.objects.using(alias)
    old = rows.filter(written_at__lt=now - GONE).order_by("pk")
    chosen = list(old.values_list("pk", flat=True)[:_AT_ONCE])
    found: list[int] = []
    sums: Sheets = {}
    # A process that is at work after all waits, and then finds that its row is gone.
    locked = old.filter(pk__in=chosen).select_for_update()
    for pk, sheets in locked.values_list("pk", "sheets"):
        found.append(pk)
        add(sums, unpacked(sheets))
    if len(found) < 2:
        return
    rows.filter(pk__in=found).delete()
    rows.create(process=f"gone:{min(found)}", written_at=now, sheets=packed(_largest(sums)))


def _largest(sums: Sheets) -> Sheets:
    """Return no more than a process has; a counter that is gone may begin again with nothing."""
    names = sorted(sums, key=lambda label: -sum(sums[label].values()))
    return {label: sums[label] for label in names[: counters.MAX_FRAGMENTS]}
