"""Units: the parts of a run, each done by one process from the reading of heads to the writing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from fragcache import axes, slots
from fragcache.arguments import Instance
from fragcache.contexts.forms import forms_of
from fragcache.counters import count_particulars, render_counts
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.entry import Entry
from fragcache.events import Event, Measure
from fragcache.keys import base_key, encode_axes
from fragcache.slots import Slot
from fragcache.store import Store, store
from fragcache.tracing import Warming, recording
from fragcache.versions import Version
from fragcache.warming.allowance import Allowance
from fragcache.warming.due import Rank, ranked
from fragcache.warming.listing import Listing
from fragcache.warming.renders import Rendered, render
from fragcache.warming.report import Tally

Versioned = Sequence[tuple[Instance, Version | None]]

#: The reasons where it is not the cache that refuses.
NOT_STORABLE: Final = "it may not be kept, for what the log says"
TOO_LATE: Final = "it was invalidated each time that it was listed"
_LOST: Final = "it was confirmed, and is not there when it is read back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Instances of one fragment under one set of axis values, and what is to be done with them."""

    fragment: Fragment
    instances: Versioned
    axis_values: Mapping[str, Any]
    using: str | None = None
    #: Render what is fresh as well.
    force: bool = False
    #: Write nothing.
    dry: bool = False
    #: Render only what is in this state; those below have been dealt with by units before it.
    rank: Rank | None = None
    #: When the items were read, where they carry data.
    listing: Listing | None = None

    @property
    def cache(self) -> Store:
        return store(self.using or self.fragment.using)

    @property
    def is_first(self) -> bool:
        """Whether its instances were in no unit before it."""
        return self.rank in {None, Rank.MISSING} and not self.is_again

    @property
    def is_again(self) -> bool:
        """Whether its items are listed once more."""
        return self.listing is not None and self.listing.number > 0


@dataclass(slots=True)
class Outcome:
    """What became of a unit."""

    tally: Tally = field(default_factory=Tally)
    #: How many are in which state, and are to be rendered by this unit or a later one.
    due: Counter[Rank] = field(default_factory=Counter)
    #: Why the cache refused what it did, and how often.
    refusals: Counter[str] = field(default_factory=Counter)
    #: Queries that the contexts and templates made.
    queries: int = 0
    #: Whether something was left out, since no more was allowed.
    is_incomplete: bool = False
    #: Whether something shows other instances, which may change without its rows.
    is_nested: bool = False
    #: By the base of their keys, the tokens of what is to be listed once more.
    too_late: dict[str, bytes] = field(default_factory=dict)


def warm(
    unit: Unit, allowance: Allowance, on_due: Callable[[Fragment, Instance], None] | None
) -> Outcome:
    """Warm a unit in the portions that ``allowance`` grants.

    ``on_due``, if any, is called with each instance that is due, before any is rendered.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    if not (recording.is_on and recording.is_wanted()):
        return _warm(unit, allowance, on_due)
    span = Warming(fragment=unit.fragment.name, axes=dict(unit.axis_values))
    with recording.span(span):
        outcome = _warm(unit, allowance, on_due)
        span.counts = outcome.tally.numbers
    return outcome


def _warm(
    unit: Unit, allowance: Allowance, on_due: Callable[[Fragment, Instance], None] | None
) -> Outcome:
    outcome = Outcome()
    with axes.activated(unit.axis_values):
        due = [(form, _due(form, unit, outcome)) for form in forms_of(unit.fragment)]
        if on_due is not None and not unit.is_again:
            for _form, found in due:
                for slot in found:
                    on_due(unit.fragment, slot.instance)
        if not unit.dry:
            for form, found in due:
                _render(form, unit, found, allowance, outcome)
    return outcome


def _render(
    form: Fragment, unit: Unit, due: Sequence[Slot], allowance: Allowance, outcome: Outcome
) -> None:
    cache = unit.cache
    if unit.listing is not None and not unit.listing.is_last:
        due = _without_late(due, outcome)
    as_of = None if unit.listing is None else unit.listing.began_at
    done = 0
    for portion in allowance.portions(due):
        done += len(portion)
        rendered = render(form, portion, as_of)
        allowance.give_back(len(portion) - len(rendered.slots))
        outcome.tally.failed += rendered.failed
        outcome.queries += rendered.queries
        began = time.perf_counter()
        _write(form, cache, rendered.slots, outcome)
        _count(unit, rendered, time.perf_counter() - began)
    outcome.is_incomplete |= done < len(due)


def _due(form: Fragment, unit: Unit, outcome: Outcome) -> list[Slot]:
    """Return the slots of one form that the unit is to render, and count all."""
    batch = _slots(form, unit)
    how = {"force": unit.force, "dry": unit.dry}
    found = ranked(form, unit.cache, batch, **how, listing=unit.listing)
    outcome.is_nested |= any(slot.is_nested for slot in batch)
    wanted = [rank for rank in Rank if unit.force or rank is not Rank.FRESH]
    outcome.due.update({rank: len(found[rank]) for rank in wanted})
    if unit.is_first:
        outcome.tally.planned += len(batch)
    if unit.is_first or unit.is_again:
        outcome.tally.fresh += 0 if unit.force else len(found[Rank.FRESH])
    chosen = wanted if unit.rank is None else [unit.rank]
    return [slot for rank in chosen for slot in found[rank]]


def _slots(form: Fragment, unit: Unit) -> list[Slot]:
    name, digest, encoded_axes = form.name, digest_of(form), encode_axes(unit.axis_values)
    found: dict[str, Slot] = {}  # items may list an instance twice
    for instance, version in unit.instances:
        base = base_key(name, instance.encoded, encoded_axes)
        found[base] = Slot(
            instance=instance, base=base, digest=digest, version=version, why=Measure.WARMED
        )
    return list(found.values()) if unit.listing is None else unit.listing.chosen(found)


def _without_late(due: Sequence[Slot], outcome: Outcome) -> list[Slot]:
    """Leave out the slots whose items may be older than their tokens."""
    late = {slot.base: slot.current for slot in due if slot.tokens is None}
    outcome.too_late |= {base: tokens for base, tokens in late.items() if tokens}
    return [slot for slot in due if slot.base not in late]


def _write(fragment: Fragment, cache: Store, rendered: Sequence[Slot], outcome: Outcome) -> None:
    late = [slot for slot in rendered if slot.tokens is None]
    found = [slot for slot in rendered if slot.tokens is not None]
    storable = [slot for slot in found if slot.output and slot.output.is_storable]
    outcome.is_nested |= any(slot.output.dependencies for slot in storable if slot.output)
    written = slots.write(cache, fragment, storable)
    lost = _lost(cache, written.confirmed)
    outcome.tally.rendered += len(rendered)
    outcome.tally.stored += len(written.confirmed) - len(lost)
    outcome.tally.refused += len(rendered) - len(written.confirmed) + len(lost)
    outcome.refusals.update([*written.refused.values(), *lost.values()])
    for reason, number in ((NOT_STORABLE, len(found) - len(storable)), (TOO_LATE, len(late))):
        if number:
            outcome.refusals[reason] += number


def _count(unit: Unit, rendered: Rendered, seconds: float) -> None:
    """Count a portion, whose writing took so long."""
    outputs = [slot.output for slot in rendered.slots if slot.output]
    counts = render_counts(unit.fragment.name, (output.cost for output in outputs)) | {
        Event.NOT_STORED: sum(not output.is_storable for output in outputs),
        Measure.WARMED: len(outputs),
        Measure.ERRORS: rendered.failed,
        Measure.BYTES: sum(len(output.payload or b"") for output in outputs),
        Measure.STORE_US: round(seconds * 1_000_000),
    }
    count_particulars(unit.fragment.name, encode_axes(unit.axis_values), counts)


def _lost(cache: Store, confirmed: Mapping[str, Entry]) -> dict[str, str]:
    """Read one entry back: a cache may confirm what it drops at once."""
    sample = list(islice(confirmed.items(), 1))
    found = cache.read_many(key for key, _entry in sample)
    return {
        key: _LOST
        for key, entry in sample
        if key not in found or found[key].payload != entry.payload
    }
