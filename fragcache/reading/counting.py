"""Counting: what became of the instances that a call asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from fragcache import conf, counters
from fragcache.counters import AGE_BUCKET, Event, Measure
from fragcache.histograms import bucket_of
from fragcache.page import Page, now
from fragcache.reading import groups
from fragcache.reading.batch import Batch
from fragcache.reading.result import Lookup
from fragcache.rendering import Output


def count_lookup(batch: Batch, lookup: Lookup, spent: int, page: Page) -> None:
    """Count the outcomes of a lookup that took ``spent`` nanoseconds, when what was due is there.

    Of what is shown from the cache one entry stands for all of the call: which, is left to chance.
    """
    events = lookup.events
    counts: dict[str, int] = {event: times for event, times in events.items() if times}
    if conf.settings().STATS == "off":
        counters.count_many(batch.fragment.name, "", counts)
        return
    counts[Measure.LOOKUP_NS] = spent
    if lookup.local:
        counts[Measure.HIT_LOCAL] = lookup.local
    copies = lookup.copies
    sample = copies[spent % len(copies)] if copies else None
    if sample is not None and (hits := counts.get(Event.HIT)):
        counts[AGE_BUCKET + str(bucket_of(max(0, now() - sample.built_at)))] = hits
    if lookup.due or lookup.missed:
        counts.update(lookup.missed)
        counts.update(Counter(slot.why for slot in lookup.due.values()))
    if page.memory(batch.cache.space).groups:
        _move_hits(counts, groups.take_missed(batch, lookup, page))
    counters.count_many(batch.fragment.name, batch.axes, counts)


def count_ages(batch: Batch, built_at: Iterable[int]) -> None:
    """Count when what is shown stale was made, in microseconds since 1970 UTC."""
    moment = now()
    _count(batch, Counter(AGE_BUCKET + str(bucket_of(max(0, moment - one))) for one in built_at))


def count_renders(batch: Batch, outputs: Iterable[Output]) -> None:
    """Count what was rendered for pages."""
    _count(batch, counters.render_counts(batch.fragment.name, (one.cost for one in outputs)))


def count_waits(batch: Batch, number: int, seconds: float) -> None:
    """Count instances that were waited for, all of them for so long."""
    _count(batch, {Measure.WAITS: number, Measure.WAIT_US: round(seconds * 1_000_000)})


def count_stored(batch: Batch, number_of_bytes: int, seconds: float) -> None:
    """Count what storing took, for all that was tried to be stored."""
    _count(batch, {Measure.BYTES: number_of_bytes, Measure.STORE_US: round(seconds * 1_000_000)})


def count_bypassed(batch: Batch, number: int) -> None:
    """Count what was rendered without looking for it."""
    _count(batch, {Measure.BYPASSED: number})


def count_error(batch: Batch) -> None:
    """Count that the site's code has raised."""
    _count(batch, {Measure.ERRORS: 1})


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
