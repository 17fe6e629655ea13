"""What happened in this process: counts per fragment, and one log line per cause and minute.

A sheet holds the counts of one fragment under one set of axis values, by field: the words of
``Event`` and ``Miss``, and those of ``Measure``. Whoever collects them takes what is new from time
to time; what was counted since the process began is kept as well.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from fragcache import conf
from fragcache.events import RENDER_BUCKET, Event, Measure
from fragcache.histograms import bucket_of
from fragcache.locks import new_lock
from fragcache.signals import degraded

logger = logging.getLogger("fragcache")

#: Seconds between two log lines of one cause.
LOG_INTERVAL: Final = 60.0
#: How many fragments, and sets of axis values of one, have sheets of their own.
MAX_FRAGMENTS: Final = 500
MAX_AXES: Final = 30
#: The name of all beyond; no fragment has it, nor a set of axis values.
OTHER: Final = "(other)"

#: The name of a fragment, and its axis values as keys have them, "" where they do not matter.
Label = tuple[str, str]
Sheet = Mapping[str, int]

_pending: dict[Label, defaultdict[str, int]] = {}
_taken: dict[Label, dict[str, int]] = {}
#: The axis values that have sheets, by fragment.
_known: dict[str, set[str]] = {}
#: What this process has rendered.
_rendered: set[str] = set()
_last_logged: dict[tuple[str, str], float] = {}
_lock = new_lock()
_collector: Callable[[], object] | None = None


def count(event: Event, fragment: str = "", times: int = 1) -> None:
    """Count ``event`` for a fragment; the empty name stands for the cache as a whole."""
    if times:
        count_many(fragment, "", {event: times})


def count_many(fragment: str, axes: str, counts: Sheet) -> None:
    """Add ``counts`` to a sheet; ``axes`` are values as keys have them."""
    is_first = False
    with _lock:
        sheet = _pending.get((fragment, axes))
        if sheet is None:
            is_first = not _pending
            sheet = _new_sheet(fragment, axes)
        for name, times in counts.items():
            sheet[name] += times
    if is_first and _collector is not None:
        _collector()


def count_hits(fragment: str, axes: str, hits: int, local: int, spent: int) -> None:
    """Count a call that found all it asked for in ``spent`` nanoseconds, ``local`` of it here."""
    # Optimisation: half the time of count_many, for nearly every call of a warm site.
    label = fragment, axes
    with _lock:
        if (sheet := _pending.get(label)) is not None:
            sheet["hit"] += hits
            sheet["hit_local"] += local
            sheet["lookup_ns"] += spent
            return
    found = {Event.HIT: hits, Measure.HIT_LOCAL: local, Measure.LOOKUP_NS: spent}
    count_many(fragment, axes, {field.value: times for field, times in found.items()})


def count_particulars(fragment: str, axes: str, counts: Sheet) -> None:
    """Add ``counts`` to a sheet; no more of them than events where the settings say so."""
    if conf.settings().STATS == "off":
        events: Sheet = {event: times for event in Event if (times := counts.get(event))}
        axes, counts = "", events
    if counts:
        count_many(fragment, axes, counts)


def degrade(
    event: Event, fragment: str, cause: str, message: str, *values: object, times: int = 1
) -> None:
    """Count an outcome that is worse than it should be, tell of it, and log its cause."""
    count(event, fragment, times)
    tell(event, fragment, cause, message, *values, times=times)


def tell(
    event: Event, fragment: str, cause: str, message: str, *values: object, times: int = 1
) -> None:
    """Tell the cause of an outcome that is counted elsewhere; log it once a minute."""
    if degraded.receivers:  # optimisation: mostly nobody listens
        degraded.send_robust(event, event=event, fragment=fragment, cause=cause, times=times)
    now = time.monotonic()
    with _lock:
        if now - _last_logged.get((fragment, cause), -LOG_INTERVAL) < LOG_INTERVAL:
            return
        _last_logged[fragment, cause] = now
    logger.warning(message, *values, extra={"fragment": fragment, "cause": cause})


def render_counts(fragment: str, microseconds: Iterable[int]) -> dict[str, int]:
    """Return the fields of renders that took so long, in their order."""
    costs = list(microseconds)
    if not costs:
        return {}
    counts: dict[str, int] = {Event.RENDERED: len(costs)}
    if fragment not in _rendered:
        _rendered.add(fragment)
        counts |= {Measure.FIRST: 1, Measure.FIRST_US: costs.pop(0)}
    counts[Measure.RENDER_US] = sum(costs)
    for cost in costs:
        bucket = RENDER_BUCKET + str(bucket_of(cost))
        counts[bucket] = counts.get(bucket, 0) + 1
    return counts


def totals() -> dict[tuple[str, Event], int]:
    """Return the events counted since the process began or ``reset``, by fragment."""
    events = {event.value: event for event in Event}
    found: defaultdict[tuple[str, Event], int] = defaultdict(int)
    for (fragment, _axes), sheet in sheets().items():
        for name, times in sheet.items():
            if times and (event := events.get(name)) is not None:
                found[fragment, event] += times
    return dict(found)


def sheets() -> dict[Label, dict[str, int]]:
    """Return a copy of all that was counted since the process began or ``reset``."""
    with _lock:
        found = {label: dict(sheet) for label, sheet in _taken.items()}
        add(found, _pending)
    return found


def take() -> dict[Label, Sheet]:
    """Return what was counted since this was called last."""
    global _pending
    with _lock:
        taken, _pending = _pending, {}
        add(_taken, taken)
    return {label: dict(sheet) for label, sheet in taken.items()}


def add(sums: dict[Label, dict[str, int]], added: Mapping[Label, Sheet]) -> None:
    """Add sheets to others, field by field."""
    for label, sheet in added.items():
        own = sums.setdefault(label, {})
        for name, times in sheet.items():
            own[name] = own.get(name, 0) + times


def collect_with(collector: Callable[[], object] | None) -> None:
    """Call ``collector`` when something is counted, and nothing was since ``take``."""
    global _collector
    _collector = collector


def reset() -> None:
    """Forget all counts and when what was logged."""
    _forget_counts()
    with _lock:
        _last_logged.clear()


def _new_sheet(fragment: str, axes: str) -> defaultdict[str, int]:
    known = _known.get(fragment)
    if known is None and len(_known) >= MAX_FRAGMENTS:
        fragment, axes = OTHER, ""
    elif known is None:
        _known[fragment] = {axes}
    elif axes not in known and len(known) >= MAX_AXES:
        axes = OTHER
    else:
        known.add(axes)
    return _pending.setdefault((fragment, axes), defaultdict(int))


def _forget_counts() -> None:
    with _lock:
        _pending.clear()
        _taken.clear()
        _known.clear()
        _rendered.clear()


if hasattr(os, "register_at_fork"):  # what the parent has counted, it tells itself
    os.register_at_fork(after_in_child=_forget_counts)
