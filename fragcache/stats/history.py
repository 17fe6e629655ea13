"""History: what all processes have counted, over a span of time or in steps of one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from django import db
from django.core.exceptions import ImproperlyConfigured
from django.utils.connection import ConnectionDoesNotExist

from fragcache import conf
from fragcache.counters import add
from fragcache.exceptions import CountsUnavailable
from fragcache.models import Counts
from fragcache.stats.keeping import MINUTE, Sheets, database, unpacked
from fragcache.stats.retention import HOUR, MINUTES_KEPT

#: Spans that are asked for by name, in seconds.
SPANS: Final = {"1h": HOUR, "24h": 24 * HOUR, "7d": 7 * 24 * HOUR}
_ROWS_AT_ONCE: Final = 200


class Step(NamedTuple):
    """What was counted in one step of a span."""

    #: In seconds since 1970 UTC.
    began: int
    sheets: Sheets


def counted(seconds: int, *, now: int | None = None) -> Sheets:
    """Return what was counted in the last ``seconds``, by fragment and axis values.

    Minutes are told apart for two hours; before that hours are, of which the first counts as a
    whole.

    Raises:
        CountsUnavailable: nobody knows.
    """
    sums: Sheets = {}
    for _began, sheets in _rows(seconds, now):
        add(sums, sheets)
    return sums


def counted_and_longer(
    seconds: int, *, longer: int, now: int | None = None
) -> tuple[Sheets, Sheets]:
    """Return ``counted``, and what was counted in a time that is no shorter; all is read once.

    Raises:
        CountsUnavailable: nobody knows.
    """
    moment = int(time.time()) if now is None else now
    since = _beginning(seconds, moment)
    sums: Sheets = {}
    before: Sheets = {}
    for began, sheets in _rows(longer, moment):
        add(sums if began >= since else before, sheets)
    add(before, sums)
    return sums, before


def steps(seconds: int, *, step: int = MINUTE, now: int | None = None) -> list[Step]:
    """Return what was counted in each step of the last ``seconds``, the oldest first.

    ``step`` is a multiple of a minute, and for more than two hours of an hour. A step in which
    nothing was counted has no sheets.

    Raises:
        CountsUnavailable: nobody knows.
    """
    found, _sums = steps_and_sums(seconds, step=step, longer=seconds, now=now)
    return found


def steps_and_sums(
    seconds: int, *, step: int, longer: int, now: int | None = None
) -> tuple[list[Step], Sheets]:
    """Return ``steps``, and what was counted in a time that is no shorter; all is read once.

    Raises:
        CountsUnavailable: nobody knows.
    """
    moment = int(time.time()) if now is None else now
    first, last = (moment - seconds) // step * step, moment // step * step
    found: dict[int, Sheets] = {began: {} for began in range(first, last + 1, step)}
    sums: Sheets = {}
    since = _beginning(seconds, moment)
    for began, sheets in _rows(longer, moment):
        is_before = began < since
        own = sums if is_before else found.setdefault(max(first, began // step * step), {})
        add(own, sheets)
    for sheets in found.values():
        add(sums, sheets)
    return [Step(began, found[began]) for began in sorted(found)], sums


@contextmanager
def readable() -> Iterator[str]:
    """Name the database of counts, for reading them.

    Raises:
        CountsUnavailable: there are none, or they cannot be read.
    """
    if conf.settings().STATS != "database":
        raise CountsUnavailable(
            f"FRAGCACHE['STATS'] is {conf.settings().STATS!r}: each process knows its own counts "
            "alone. Set it to 'database' to keep those of all."
        )
    try:
        alias = database()
        if alias is None:
            raise CountsUnavailable(
                "Counts are kept in the database, and this site has none: each process knows its "
                "own alone, which the Prometheus collector and fragcache.counters.sheets() tell."
            )
        yield alias
    except (db.Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        said = str(error).strip().partition("\n")[0].removesuffix(".")
        raise CountsUnavailable(
            f"The counts cannot be read: {said}. If the table is missing, `manage.py migrate "
            "fragcache` makes it."
        ) from error


def _rows(seconds: int, now: int | None) -> Iterator[tuple[int, Sheets]]:
    moment = int(time.time()) if now is None else now
    span = {"began__gte": _beginning(seconds, moment), "began__lte": moment}
    with readable() as alias:
        rows = Counts.objects.using(alias).filter(**span)
        found = rows.values_list("began", "sheets").order_by("began")
        for at, sheets in found.iterator(_ROWS_AT_ONCE):
            yield at, unpacked(sheets)


def _beginning(seconds: int, moment: int) -> int:
    # A span of hours begins with a whole one, unless all of its minutes are there.
    unit = MINUTE if seconds <= MINUTES_KEPT else HOUR
    return (moment - seconds) // unit * unit
