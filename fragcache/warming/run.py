"""A run: walk the plan batch by batch, render what is due, store it, and tally."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fragcache import axes, manifest, slots, transactions
from fragcache.arguments import Instance
from fragcache.counters import Event, count
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import CacheUnavailable, TransactionOpen
from fragcache.keys import base_key, encode_axes
from fragcache.page import now
from fragcache.rendering import Output, render_many
from fragcache.slots import Slot
from fragcache.store import Store, store
from fragcache.versions import Version
from fragcache.warming.batches import Batch, batches
from fragcache.warming.due import due_slots
from fragcache.warming.report import Report, Status, Tally

logger = logging.getLogger("fragcache.warm")

BATCH_SIZE: Final = 500

Versioned = list[tuple[Instance, Version | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do."""

    fragments: Sequence[Fragment]
    using: str | None = None
    #: Only items of these primary keys.
    only: Sequence[str] | None = None
    #: Axis values to warm instead of all.
    axis_values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    batch_size: int = BATCH_SIZE
    #: Render what is fresh as well.
    force: bool = False
    #: Report only; nothing is written, and no life extended.
    dry: bool = False
    #: Call due what is missing or stale, and not what is rendered at every run.
    check: bool = False
    #: The most instances to render.
    limit: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every instance is walked, so that targets may follow to a new digest."""
        return not (self.dry or self.only is not None or self.axis_values)


@dataclass(slots=True)
class Run:
    """One execution of a plan.

    ``after_batch`` is called with a fragment and the number of instances walked; ``on_due`` with
    each slot that is due; ``is_stopped`` is asked between batches.
    """

    plan: Plan
    after_batch: Callable[[Fragment, int], None] = lambda _fragment, _walked: None
    on_due: Callable[[Fragment, Slot], None] = lambda _fragment, _slot: None
    is_stopped: Callable[[], bool] = lambda: False
    report: Report = field(default_factory=Report)

    def execute(self) -> Report:
        """Warm, and return the report; what fails of the site's code is logged and counted.

        Raises:
            TransactionOpen: this thread is inside of one.
            CacheUnavailable: the cache does not answer; ``report`` holds what was done.
        """
        if transactions.is_open():
            raise TransactionOpen(
                "Fragments are not warmed inside of a transaction: what it has written may be "
                "rolled back. Call warm_fragments after its end."
            )
        try:
            for fragment in self.plan.fragments:
                self._warm(fragment)
                if self.report.status in {Status.INCOMPLETE, Status.INTERRUPTED}:
                    break
        except CacheUnavailable:
            self.report.status = Status.UNAVAILABLE
            raise
        totals = self.report.totals
        if self.report.status is not Status.INTERRUPTED and (totals.failed or totals.refused):
            self.report.status = Status.FAILED
        return self.report

    def _warm(self, fragment: Fragment) -> None:
        cache = store(self.plan.using or fragment.using)
        tally = self.report.fragments.setdefault(fragment.name, Tally())
        began = time.monotonic()
        try:
            self._walk(fragment, cache, tally)
        except CacheUnavailable:
            raise
        except Exception as error:
            tally.failed += 1
            logger.exception("%s: %s", fragment.name, error, extra={"fragment": fragment.name})
        else:
            if self.plan.is_whole and self.report.status is Status.OK:
                manifest.publish(cache, [fragment])
        finally:
            tally.seconds = time.monotonic() - began

    def _walk(self, fragment: Fragment, cache: Store, tally: Tally) -> None:
        chosen = {name: v for name, v in self.plan.axis_values.items() if name in fragment.axes}
        combinations = axes.combinations(fragment.axes, chosen)
        digest = digest_of(fragment)
        for listed in batches(fragment, self.plan.batch_size, self.plan.only):
            batch = _without_failed(fragment, listed, tally)
            for values in combinations:
                with axes.activated(values):
                    self._warm_batch(
                        fragment, cache, tally, _slots(fragment, batch, digest, values)
                    )
                self.after_batch(fragment, len(batch))
                if self.is_stopped():
                    self.report.status = Status.INTERRUPTED
                if self.report.status is not Status.OK:
                    return

    def _warm_batch(
        self, fragment: Fragment, cache: Store, tally: Tally, batch: list[Slot]
    ) -> None:
        force = self.plan.force or not (fragment.is_versioned or self.plan.check)
        due = due_slots(fragment, cache, batch, force=force, dry=self.plan.dry)
        tally.planned += len(batch)
        tally.fresh += len(batch) - len(due)
        for slot in due:
            self.on_due(fragment, slot)
        if self.plan.dry:
            return
        if self.plan.limit is not None:
            left = self.plan.limit - self.report.totals.rendered
            if len(due) > left:
                due = due[:left]
                self.report.status = Status.INCOMPLETE
        rendered = self._render(fragment, due, tally)
        tally.rendered += len(rendered)
        storable = [slot for slot in rendered if slot.output and slot.output.is_storable]
        confirmed = slots.write(cache, fragment, storable)
        tally.stored += len(confirmed)
        tally.refused += len(rendered) - len(confirmed)

    def _render(self, fragment: Fragment, due: Sequence[Slot], tally: Tally) -> list[Slot]:
        rendered = []
        for slot, output in _outputs(fragment, due):
            if isinstance(output, Exception):
                tally.failed += 1
                _log_failure(fragment, slot.instance, output)
            elif output is not None:  # else deleted since the batch was listed
                slot.output = output
                rendered.append(slot)
        count(Event.RENDERED, fragment.name, len(rendered))
        return rendered


def _without_failed(fragment: Fragment, batch: Batch, tally: Tally) -> Versioned:
    sound = []
    for instance, version in batch:
        if isinstance(version, Exception):
            tally.planned += 1
            tally.failed += 1
            _log_failure(fragment, instance, version)
        else:
            sound.append((instance, version))
    return sound


def _slots(
    fragment: Fragment, batch: Versioned, digest: str, values: Mapping[str, Any]
) -> list[Slot]:
    encoded_axes = encode_axes(values)
    found: dict[str, Slot] = {}  # items may list an instance twice
    for instance, version in batch:
        base = base_key(fragment.name, instance.encoded, encoded_axes)
        found[base] = Slot(instance=instance, base=base, digest=digest, version=version)
    return list(found.values())


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


def _log_failure(fragment: Fragment, instance: Instance, error: Exception) -> None:
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
