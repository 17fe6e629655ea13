"""Counting: what became of the instances that a call asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from fragcache import conf, counters
from fragcache.events import AGE_BUCKET, Event, Measure, Miss
from fragcache.histograms import bucket_of
from fragcache.page import Page, now
from fragcache.reading import groups
from fragcache.reading.batch import Batch
from fragcache.reading.result import Lookup

#: Of so many calls one has its age taken, by chance: that of nanoseconds.
SAMPLED: Final = 8
_is_unvisited: Final = ContextVar("fragcache_is_unvisited", default=False)


def count_lookup(batch: Batch, lookup: Lookup, spent: int, page: Page) -> None:
    """Count a lookup that took ``spent`` nanoseconds, when what was due is there."""
    events, name = lookup.events, batch.fragment.name
    if conf.settings().STATS == "off":
        counters.count_many(name, "", {event: times for event, times in events.items() if times})
        return
    if _is_unvisited.get():
        _count(batch, {Measure.UNVISITED: len(lookup.html)})
        return
    if not spent % SAMPLED:
        _count_age(batch, lookup, spent)
    has_groups = bool(page.memory(batch.cache.space).groups)
    if len(events) == 1 and not has_groups:
        counters.count_hits(name, batch.axes, events[Event.HIT], lookup.local, spent)
        return
    counts: dict[str, int] = {event: times for event, times in events.items() if times}
    counts |= {Measure.LOOKUP_NS: spent, Measure.HIT_LOCAL: lookup.local}
    # Optimisation: a Counter takes longer than all else of this, and is mostly one of one.
    for reason in (*lookup.reasons.values(), *(slot.why for slot in lookup.due.values())):
        counts[reason] = counts.get(reason, 0) + 1
    if has_groups:
        _move_hits(counts, groups.take_missed(batch, lookup, page))
    counters.count_many(name, batch.axes, counts)


@contextmanager
def unvisited() -> Iterator[None]:
    """Count lookups as nobody's: what is rendered is not for a page."""
    reset = _is_unvisited.set(True)
    try:
        yield
    finally:
        _is_unvisited.reset(reset)


def count_ages(batch: Batch, built_at: Iterable[int]) -> None:
    """Count when what is shown stale was made, in microseconds since 1970 UTC."""
    moment = now()
    _count(batch, Counter(AGE_BUCKET + str(bucket_of(max(0, moment - one))) for one in built_at))


def count_renders(batch: Batch, microseconds: Sequence[int], lost: Mapping[str, int]) -> None:
    """Count renders for pages, by what they cost, and what else became of what was due."""
    counts = counters.render_counts(batch.fragment.name, microseconds)
    _count(batch, counts | {event: times for event, times in lost.items() if times})


def count_waits(batch: Batch, number: int, seconds: float) -> None:
    """Count instances that were waited for, all of them for so long."""
    _count(batch, {Measure.WAITS: number, Measure.WAIT_US: round(seconds * 1_000_000)})


def count_stored(batch: Batch, number_of_bytes: int, seconds: float) -> None:
    """Count what storing took, for all that was tried to be stored."""
    _count(batch, {Measure.BYTES: number_of_bytes, Measure.STORE_US: round(seconds * 1_000_000)})


def count_bypassed(batch: Batch, number: int) -> None:
    """Count what was rendered without looking for it."""
    _count(batch, {Measure.BYPASSED: number})


def count_out_of_reach(batch: Batch) -> None:
    """Count what was not looked for, since the cache is left alone."""
    number = len(batch.items)
    counters.count(Event.GUARD_OPEN)
    if _is_unvisited.get():
        _count(batch, {Measure.UNVISITED: number})
    else:
        _count(batch, {Event.MISSING: number, Miss.GUARD: number})


def count_error(batch: Batch) -> None:
    """Count that the site's code has raised."""
    _count(batch, {Measure.ERRORS: 1})


def _count_age(batch: Batch, lookup: Lookup, chance: int) -> None:
    """Count the age of one entry that is shown, which stands for all of the call."""
    hits, copies = lookup.events.get(Event.HIT), lookup.copies
    sample = copies[chance // SAMPLED % len(copies)] if copies and hits else None
    if sample is not None and hits:
        bucket = bucket_of(max(0, now() - sample.built_at))
        _count(batch, {AGE_BUCKET + str(bucket): hits})


def _count(batch: Batch, counts: Mapping[str, int]) -> None:
    counters.count_particulars(batch.fragment.name, batch.axes, counts)


def _move_hits(counts: dict[str, int], missed: Counter[str]) -> None:
    """Count as missed what was found because the page itself had rendered it, a moment before."""
    number = missed.total()
    if number:
        counts[Event.HIT] = counts.get(Event.HIT, 0) - number
        counts[Event.MISSING] = counts.get(Event.MISSING, 0) + number
        for reason, times in missed.items():
            counts[reason] = counts.get(reason, 0) + times
