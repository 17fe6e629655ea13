"""``warm_fragments --enqueue``: batches are handed to workers, and waited for where it is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.core.management.base import CommandError, OutputWrapper

from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.management.progress import Progress, size_of_all, sizes
from fragcache.management.queues import Queue, chosen
from fragcache.management.signals import Signals
from fragcache.models import WarmRun
from fragcache.store import store
from fragcache.warming import (
    Locked,
    LockUnavailable,
    Plan,
    Report,
    Status,
    Tally,
    WarmingLock,
    distributed,
)
from fragcache.warming.distributed import gathered, going_on_line
from fragcache.warming.distributed.gathering import tally_of

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 75
#: Options that ask for something of this process, and how each is written.
LOCAL: Final = {
    "dry_run": "--dry-run",
    "check": "--check",
    "changed": "--changed",
    "limit": "--limit",
    "time_budget": "--time-budget",
    "max_rate": "--max-rate",
}
_POLL: Final = 0.5
_WHERE: Final = "`manage.py fragments runs` shows how they go."


@dataclass(slots=True)
class Enqueued:
    """What came of it: a report, a line for people, and an exit code."""

    report: Report
    line: str = ""
    code: int = 0
    #: Whether the report has counts of what was done, and not of what will be.
    has_counts: bool = False


def enqueue(plan: Plan, options: Mapping[str, Any], out: OutputWrapper) -> Enqueued:
    """Enqueue the batches of a plan; with ``--wait``, return when workers have done them.

    Raises:
        CommandError: it cannot be done here, or something cannot be told to workers.
    """
    _check_options(options)
    try:
        queue = chosen()
        distributed.check_database()
        _check_caches(plan, queue)
        with Signals() as signals:
            return _Enqueueing(plan, options, out, queue, signals).execute()
    except CacheUnavailable as error:
        line = f"The cache is unavailable: {error}"
        return Enqueued(Report(Status.UNAVAILABLE), line, EXIT_UNAVAILABLE)
    except LockUnavailable as error:
        return Enqueued(Report(Status.UNAVAILABLE), str(error), EXIT_UNAVAILABLE)
    except distributed.QueueUnavailable as error:
        line = f"{error} What was not sent is sent when --enqueue is called again."
        return Enqueued(Report(Status.UNAVAILABLE), line, EXIT_UNAVAILABLE)
    except FragcacheError as error:
        raise CommandError(str(error), returncode=EXIT_USAGE) from error


@dataclass(slots=True)
class _Enqueueing:
    """One call: another run is met or waited for, one's own begun, handed over or watched."""

    plan: Plan
    options: Mapping[str, Any]
    out: OutputWrapper
    queue: Queue
    signals: Signals
    _deadline: float = field(default=0.0)

    def execute(self) -> Enqueued:
        self._deadline = time.monotonic() + (self.options["wait"] or 0.0)
        while True:
            try:
                begun, line = self._begin()
            except Locked as error:
                begun, line = None, str(error)
            if begun is not None:
                return self._ended(begun)
            if self._is_over():
                return self._left(line)
            time.sleep(_POLL)

    def _begin(self) -> tuple[WarmRun | None, str]:
        """Begin a run, or see to the one that is going on and return what is to be said of it."""
        left = max(0.0, self._deadline - time.monotonic())
        with WarmingLock(store(self.plan.using), left, self._is_stopped):
            other = distributed.going_on(self.plan.using)
            if other is None:
                run = distributed.begin(self.plan, self.options)
                if self.queue.is_immediate:
                    self._say("The queue does its work at once, in this process.")
                distributed.deliver(run, self.queue.send)
                return run, ""
        again = distributed.renew(other, self.queue.send)
        line = going_on_line(other)
        were = "1 that was lost is" if again == 1 else f"{again:,} that were lost are"
        return None, f"{line[:-1]}; {were} enqueued again." if again else line

    def _ended(self, run: WarmRun) -> Enqueued:
        run.refresh_from_db()
        if run.status == WarmRun.Status.RUNNING:
            if not self.options["wait"]:
                return self._handed_over(run)
            self._watch(run)
        return self._finished(run)

    def _handed_over(self, run: WarmRun) -> Enqueued:
        planned = _planned(self.plan)
        of = f" of {planned.totals.planned:,} instances" if planned.totals.planned else ""
        count = run.batch_count or 0
        batches, are = ("1 batch", "is") if count == 1 else (f"{count:,} batches", "are")
        return Enqueued(planned, f"{batches}{of} {are} enqueued; {_WHERE}")

    def _watch(self, run: WarmRun) -> None:
        """Return when a run has ended, or nobody wants to wait any more."""
        progress = Progress(
            self.out,
            partial(size_of_all, self.plan),
            is_wanted=self.options["progress"],
            verbosity=self.options["verbosity"],
        )
        with progress:
            walked: dict[str, int] = {}
            while run.status == WarmRun.Status.RUNNING and not self._is_over():
                with suppress(distributed.QueueUnavailable):  # what it has taken is done meanwhile
                    distributed.renew(run, self.queue.send)
                for name, tally in gathered(run).report.fragments.items():
                    if news := tally.planned - walked.get(name, 0):
                        progress.advance(_named(self.plan, name), news)
                        walked[name] = tally.planned
                time.sleep(_POLL)
                run.refresh_from_db()

    def _finished(self, run: WarmRun) -> Enqueued:
        """Return what a run has come to, or has so far."""
        if run.status == WarmRun.Status.RUNNING:
            return self._unfinished(run)
        tallies = {name: tally_of(counts) for name, counts in run.fragments.items()}
        report = Report(Status(run.status), tallies)
        codes = {Status.FAILED: EXIT_FAILED, Status.UNAVAILABLE: EXIT_UNAVAILABLE}
        return Enqueued(report, run.problem, codes.get(report.status, 0), has_counts=True)

    def _unfinished(self, run: WarmRun) -> Enqueued:
        found = gathered(run)
        so_far = f"{found.done:,} of {found.count:,} batches are done, and the workers go on"
        received = self.signals.received
        if received is not None:
            found.report.status = Status.INTERRUPTED
            line = f"Interrupted: {so_far}; {_WHERE}"
            return Enqueued(found.report, line, 128 + received, has_counts=True)
        found.report.status = Status.INCOMPLETE
        line = f"--wait ran out: {so_far}; {_WHERE}"
        return Enqueued(found.report, line, EXIT_UNAVAILABLE, has_counts=True)

    def _left(self, line: str) -> Enqueued:
        """Return that another run goes on."""
        if self.signals.received is not None:
            return Enqueued(Report(Status.INTERRUPTED), line, 128 + self.signals.received)
        if self.options["wait"]:
            return Enqueued(Report(Status.LOCKED), f"{line} --wait ran out.", EXIT_UNAVAILABLE)
        return Enqueued(Report(Status.LOCKED), line)

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline or self._is_stopped()

    def _is_stopped(self) -> bool:
        return self.signals.received is not None

    def _say(self, line: str) -> None:
        if self.options["verbosity"]:
            self.out.write(line, style_func=str)


def _check_options(options: Mapping[str, Any]) -> None:
    asked = {name: options.get(name) for name in LOCAL}
    given = [
        LOCAL[name] for name, value in asked.items() if value is not None and value is not False
    ]
    if (options.get("parallel") or 1) > 1:
        given.append("--parallel")
    if given:
        raise CommandError(
            f"{', '.join(given)} cannot be had with --enqueue: other processes do the work.",
            returncode=EXIT_USAGE,
        )


def _check_caches(plan: Plan, queue: Queue) -> None:
    stores = [store(plan.using or fragment.using) for fragment in plan.fragments]
    alone = next((found.alias for found in stores if not found.is_shared), None)
    if alone is not None and not queue.is_immediate:
        raise CommandError(
            f"--enqueue: the cache {alone!r} is one of each process alone, so that workers would "
            "fill their own. Use one that they share.",
            returncode=EXIT_USAGE,
        )


def _planned(plan: Plan) -> Report:
    """Return a report of how many instances there are, where that is cheap to know."""
    counts = {name: Tally(planned=size or 0) for name, size in sizes(plan).items()}
    return Report(Status.INCOMPLETE, counts)


def _named(plan: Plan, name: str) -> Fragment:
    return next(fragment for fragment in plan.fragments if fragment.name == name)
