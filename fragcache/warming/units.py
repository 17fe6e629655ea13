"""Units: the parts of a run, each done by one process from the reading of heads to the writing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fragcache import axes, slots
from fragcache.arguments import Instance
from fragcache.counters import Event, count
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.keys import base_key, encode_axes
from fragcache.page import now
from fragcache.rendering import Output, render_many
from fragcache.slots import Slot
from fragcache.store import store
from fragcache.versions import Version
from fragcache.warming.due import due_slots
from fragcache.warming.report import Tally

logger = logging.getLogger("fragcache.warm")

Versioned = Sequence[tuple[Instance, Version | None]]


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


@dataclass(slots=True)
class Outcome:
    """What became of a unit."""

    tally: Tally = field(default_factory=Tally)
    #: Whether something was left out, since no more was allowed.
    is_incomplete: bool = False


def warm(
    unit: Unit, allowed: Callable[[int], int], on_due: Callable[[Fragment, Instance], None]
) -> Outcome:
    """Warm a unit; ``allowed`` is asked how many of so many may be rendered.

    ``on_due`` is called with each instance that is missing or stale, before any is rendered.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    cache = store(unit.using or unit.fragment.using)
    outcome = Outcome()
    with axes.activated(unit.axis_values):
        batch = _slots(unit)
        due = due_slots(unit.fragment, cache, batch, force=unit.force, dry=unit.dry)
        outcome.tally.planned = len(batch)
        outcome.tally.fresh = len(batch) - len(due)
        for slot in due:
            on_due(unit.fragment, slot.instance)
        if unit.dry:
            return outcome
        granted = allowed(len(due))
        outcome.is_incomplete = granted < len(due)
        rendered = _render(unit.fragment, due[:granted], outcome.tally)
        storable = [slot for slot in rendered if slot.output and slot.output.is_storable]
        confirmed = slots.write(cache, unit.fragment, storable)
    outcome.tally.rendered = len(rendered)
    outcome.tally.stored = len(confirmed)
    outcome.tally.refused = len(rendered) - len(confirmed)
    return outcome


def log_failure(fragment: Fragment, instance: Instance, error: BaseException) -> None:
    """Log what went wrong with one instance."""
    given = ", ".join(map(repr, instance.arguments))
    logger.error(
        "%s(%s) failed: %s: %s",
        fragment.name,
        given,
        type(error).__name__,
        error,
        exc_info=error,
        extra={"fragment": fragment.name, "arguments": instance.arguments},
    )


def _slots(unit: Unit) -> list[Slot]:
    name, digest, encoded_axes = (
        unit.fragment.name,
        digest_of(unit.fragment),
        encode_axes(unit.axis_values),
    )
    found: dict[str, Slot] = {}  # items may list an instance twice
    for instance, version in unit.instances:
        base = base_key(name, instance.encoded, encoded_axes)
        found[base] = Slot(instance=instance, base=base, digest=digest, version=version)
    return list(found.values())


def _render(fragment: Fragment, due: Sequence[Slot], tally: Tally) -> list[Slot]:
    rendered = []
    for slot, output in _outputs(fragment, due):
        if isinstance(output, Exception):
            tally.failed += 1
            log_failure(fragment, slot.instance, output)
        elif output is not None:  # else deleted since the batch was listed
            slot.output = output
            rendered.append(slot)
    count(Event.RENDERED, fragment.name, len(rendered))
    return rendered


def _outputs(
    fragment: Fragment, due: Sequence[Slot]
) -> Iterator[tuple[Slot, Output | Exception | None]]:
    """Yield the outputs of a batch; where it fails as a whole, of each instance alone."""
    if not due:
        return
    for slot in due:
        if not fragment.is_versioned:
            slot.version = slots.unique_version(now())
    try:
        outputs = render_many(fragment, [slot.instance.arguments for slot in due], fresh=True)
    except Exception as error:  # noqa: BLE001 - whatever the site raises is reported
        if len(due) == 1:
            yield due[0], error
        else:
            for slot in due:
                yield from _outputs(fragment, [slot])
    else:
        yield from zip(due, outputs, strict=True)
