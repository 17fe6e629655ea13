"""A run: walk the plan unit by unit, let a crew do each of them, and tally."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fragcache import transactions
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, TransactionOpen
from fragcache.tracing import Warming, recording
from fragcache.warming.allowance import Bounds
from fragcache.warming.crews import Alone, Crew, Done
from fragcache.warming.due import Rank
from fragcache.warming.plan import Plan
from fragcache.warming.report import Report, Status, Tally
from fragcache.warming.walks import Walk


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
    _walks: dict[str, Walk] = field(default_factory=dict)
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
        if not (recording.is_on and recording.is_wanted()):
            return self._execute()
        with recording.span(Warming(fragment="")) as span:
            try:
                return self._execute()
            finally:
                span.counts, span.status = self.report.totals.numbers, str(self.report.status)

    def _execute(self) -> Report:
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
            walk = self._walks.get(fragment.name)
            if walk is None:
                tally = self.report.fragments.setdefault(fragment.name, Tally())
                walk = self._walks[fragment.name] = Walk(fragment, self.plan, tally)
            if not rank or (walk.due[rank] and not walk.has_failed):
                self._warm(walk, rank, crew)
                self._list_again(walk, rank, crew)
            if self._is_ended:
                return

    def _list_again(self, walk: Walk, rank: Rank | None, crew: Crew) -> None:
        """Warm what was invalidated while items were listed that carry data."""
        while walk.carries_data and not self._is_ended:
            self._take(crew.finish())
            if not walk.too_late or walk.has_failed or self._is_ended:
                return
            self._warm(walk, rank, crew)

    def _warm(self, walk: Walk, rank: Rank | None, crew: Crew) -> None:
        walk.begin()
        try:
            for unit in walk.units(rank):
                if self.is_stopped():
                    self.report.status = Status.INTERRUPTED
                    return
                walk.pending += len(unit.instances)
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
            walk.fail(error)
        else:
            walk.is_listed = True
            if rank is None:
                self._publish(walk)
        finally:
            walk.look_at_clock()

    def _take(self, finished: Iterable[Done]) -> None:
        """Tally what the crew has done."""
        for unit, outcome in finished:
            walk = self._walks[unit.fragment.name]
            walk.pending -= len(unit.instances)  # of a unit that came in parts, those of this one
            if isinstance(outcome, CacheUnavailable):
                raise outcome
            if isinstance(outcome, Exception):
                walk.fail(outcome)
                continue
            walk.include(unit, outcome)
            self.report.refusals[unit.fragment.name].update(outcome.refusals)
            if outcome.is_incomplete:
                self.report.status = Status.INCOMPLETE
            self.after_batch(unit.fragment, len(unit.instances) if unit.is_first else 0)
            if unit.rank is None:
                self._publish(walk)

    def _publish(self, walk: Walk) -> None:
        if self.report.status is Status.OK:
            walk.publish()
