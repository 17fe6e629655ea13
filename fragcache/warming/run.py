"""A run: walk the plan unit by unit, let a crew do each of them, and tally."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fragcache import axes, manifest, transactions
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import CacheUnavailable, TransactionOpen
from fragcache.page import now
from fragcache.store import store
from fragcache.warming import watermarks
from fragcache.warming.allowance import Bounds
from fragcache.warming.batches import Batch, batches
from fragcache.warming.crews import Alone, Crew, Done
from fragcache.warming.due import Rank
from fragcache.warming.plan import Plan
from fragcache.warming.queries import are_per_instance
from fragcache.warming.renders import log_failure
from fragcache.warming.report import Report, Status, Tally
from fragcache.warming.units import Outcome, Unit, Versioned
from fragcache.warming.watermarks import Watermark

logger = logging.getLogger("fragcache.warm")


@dataclass(slots=True)
class _Walk:
    """How far the run is with one fragment."""

    fragment: Fragment
    began: float = 0.0
    #: Units that the crew has not done yet.
    pending: int = 0
    is_listed: bool = False
    has_failed: bool = False
    #: How many there are to render of each rank, as far as was looked.
    due: Counter[Rank] = field(default_factory=Counter)
    has_warned: bool = False
    #: What the next run may rely on, when this one has completed.
    watermark: Watermark | None = None
    since: dt.datetime | None = None

    @property
    def is_done(self) -> bool:
        return self.is_listed and not self.pending and not self.has_failed


@dataclass(slots=True)
class Run:
    """One execution of a plan.

    ``after_batch`` is called with a fragment and the number of instances walked; ``on_due``, if
    any, with each instance that is due; ``is_stopped`` is asked between batches. ``crew`` does the
    work; it is this process, unless told otherwise.
    """

    plan: Plan
    after_batch: Callable[[Fragment, int], None] = lambda _fragment, _walked: None
    on_due: Callable[[Fragment, Instance], None] | None = None
    is_stopped: Callable[[], bool] = lambda: False
    report: Report = field(default_factory=Report)
    crew: Crew = field(default_factory=Alone)
    _walks: dict[str, _Walk] = field(default_factory=dict)
    _bounds: Bounds = field(default_factory=Bounds)

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
        self._bounds = self.plan.bounds
        try:
            with self.crew.at_work(self._bounds, self.on_due, self.is_stopped) as crew:
                for rank in self.plan.ranks:
                    self._warm_all(rank, crew)
                    self._take(crew.finish(is_ended=self._is_ended))
                    if self._is_ended:
                        break
        except CacheUnavailable:
            self.report.status = Status.UNAVAILABLE
            raise
        if self.report.status is Status.INCOMPLETE and self.is_stopped():
            self.report.status = Status.INTERRUPTED
        if self.plan.time_budget is not None:
            for walk in self._walks.values():
                self._publish(walk)
        totals = self.report.totals
        if self.report.status is not Status.INTERRUPTED and (totals.failed or totals.refused):
            self.report.status = Status.FAILED
        return self.report

    @property
    def is_walked(self) -> bool:
        """Whether every instance of every fragment was walked, though some may have failed."""
        return all(walk.is_done for walk in self._walks.values())

    @property
    def _is_ended(self) -> bool:
        return self.report.status in {Status.INCOMPLETE, Status.INTERRUPTED}

    def _warm_all(self, rank: Rank | None, crew: Crew) -> None:
        for fragment in self.plan.fragments:
            walk = self._walks.setdefault(fragment.name, _Walk(fragment))
            if not rank or (walk.due[rank] and not walk.has_failed):
                self._warm(walk, rank, crew)
            if self._is_ended:
                return

    def _warm(self, walk: _Walk, rank: Rank | None, crew: Crew) -> None:
        tally = self.report.fragments.setdefault(walk.fragment.name, Tally())
        walk.began = time.monotonic() - tally.seconds
        walk.is_listed = False
        try:
            for unit in self._units(walk, rank, tally):
                walk.pending += 1
                self._take(crew.submit(unit))
                if self.is_stopped():
                    self.report.status = Status.INTERRUPTED
                elif self._bounds.is_over:
                    self.report.status = Status.INCOMPLETE
                if self._is_ended or walk.has_failed:
                    return
        except CacheUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the site raises is reported
            self._fail(walk, error)
        else:
            walk.is_listed = True
            if rank is None:
                self._publish(walk)
        finally:
            tally.seconds = time.monotonic() - walk.began

    def _units(self, walk: _Walk, rank: Rank | None, tally: Tally) -> Iterator[Unit]:
        fragment = walk.fragment
        chosen = {name: v for name, v in self.plan.axis_values.items() if name in fragment.axes}
        combinations = axes.combinations(fragment.axes, chosen)
        digest_of(fragment)  # which says what is wrong with the template before anything is read
        force = self.plan.force or not (fragment.is_versioned or self.plan.check)
        since = self._since(walk, combinations)
        only, within = self.plan.only, self.plan.within
        for listed in batches(fragment, self.plan.batch_size, only, since, within):
            instances = _without_failed(fragment, listed, tally)
            for values in combinations:
                yield Unit(
                    fragment=fragment,
                    instances=instances,
                    axis_values=values,
                    using=self.plan.using,
                    force=force,
                    dry=self.plan.dry,
                    rank=rank,
                )

    def _since(self, walk: _Walk, combinations: Sequence[Mapping[str, Any]]) -> dt.datetime | None:
        """Return from when on rows are read, None for all; and note what that will be worth."""
        fragment = walk.fragment
        if self.plan.is_part or not watermarks.tells_changes(fragment):
            return None
        if walk.watermark is not None:  # it is walked again, for a later rank
            return walk.since
        began = now()
        cache = store(self.plan.using or fragment.using)
        may_write = not self.plan.dry
        scope = watermarks.scope_of(fragment, cache, combinations, may_write=may_write)
        former = watermarks.usable(fragment, cache, scope) if self.plan.changed else None
        whole_at = began if former is None else former.whole_at
        walk.watermark = Watermark(read_at=began, whole_at=whole_at, scope=scope)
        walk.since = None if former is None else former.since
        return walk.since

    def _take(self, finished: Iterable[Done]) -> None:
        """Tally what the crew has done."""
        for unit, outcome in finished:
            fragment = unit.fragment
            walk = self._walks[fragment.name]
            walk.pending -= 1
            if isinstance(outcome, CacheUnavailable):
                raise outcome
            if isinstance(outcome, Exception):
                self._fail(walk, outcome)
                continue
            tally = self.report.fragments[fragment.name]
            tally.include(outcome.tally)
            tally.seconds = time.monotonic() - walk.began
            if unit.is_first:
                walk.due.update(outcome.due)
            self.report.refusals[fragment.name].update(outcome.refusals)
            self._warn_of_queries(walk, outcome)
            if outcome.is_incomplete:
                self.report.status = Status.INCOMPLETE
            self.after_batch(fragment, len(unit.instances) if unit.is_first else 0)
            if unit.rank is None:
                self._publish(walk)

    def _warn_of_queries(self, walk: _Walk, outcome: Outcome) -> None:
        instances = outcome.tally.rendered + outcome.tally.failed
        if walk.has_warned or not are_per_instance(outcome.queries, instances):
            return
        walk.has_warned = True
        logger.warning(
            "%s makes queries for each instance: %s for a batch of %s. Name the relations in "
            "prefetch_related, select them in items, or return the contexts of a batch from "
            "get_contexts().",
            *(walk.fragment.name, f"{outcome.queries:,}", f"{instances:,}"),
            extra={"fragment": walk.fragment.name},
        )

    def _fail(self, walk: _Walk, error: Exception) -> None:
        walk.has_failed = True
        self.report.fragments[walk.fragment.name].failed += 1
        name = walk.fragment.name
        logger.error("%s: %s", name, error, exc_info=error, extra={"fragment": name})

    def _publish(self, walk: _Walk) -> None:
        """Let targets follow, when every instance has been walked."""
        if walk.is_done and self.plan.is_whole and self.report.status is Status.OK:
            fragment = walk.fragment
            tally = self.report.fragments[fragment.name]
            is_sound = walk.watermark and not (tally.failed or tally.refused)
            walked = asdict(walk.watermark) if walk.watermark and is_sound else None
            manifest.publish(store(self.plan.using or fragment.using), [fragment], walked)


def _without_failed(fragment: Fragment, batch: Batch, tally: Tally) -> Versioned:
    sound = []
    for instance, version in batch:
        if isinstance(version, Exception):
            tally.planned += 1
            tally.failed += 1
            log_failure(fragment, instance, version)
        else:
            sound.append((instance, version))
    return sound
