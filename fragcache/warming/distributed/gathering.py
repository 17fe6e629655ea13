"""Gathering: what the batches of a run say together, while it goes on and at its end."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from fragcache import manifest, registry
from fragcache.digests import digest_of
from fragcache.exceptions import CacheUnavailable
from fragcache.models import WarmBatch, WarmRun
from fragcache.store import store
from fragcache.warming.distributed import claims
from fragcache.warming.parts import described
from fragcache.warming.recording import storable
from fragcache.warming.report import Report, Status, Tally

logger = logging.getLogger("fragcache.warm")

#: How many problems of batches a run tells of.
TOLD: Final = 3


@dataclass(slots=True)
class Gathered:
    """What has become of a run's batches so far."""

    count: int = 0
    done: int = 0
    claimed: int = 0
    report: Report = field(default_factory=Report)
    #: Those that speak of a batch as a whole.
    problems: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.done == self.count

    @property
    def problem(self) -> str:
        """What went wrong, as sentences; "" where nothing did."""
        totals = self.report.totals
        is_counted = bool(totals.planned and (totals.failed or totals.refused))
        told = [self.report.problem] if is_counted else []
        more = len(self.problems) - TOLD
        told += self.problems[:TOLD] + ([f"{more:,} more failed like that."] if more > 0 else [])
        return " ".join(told)


def gathered(run: WarmRun) -> Gathered:
    """Return what a run's batches say."""
    found = Gathered(count=run.batch_count or 0)
    statuses = set()
    parts = WarmBatch.objects.using(run._state.db).filter(run=run).order_by("number")
    for batch in parts.defer("description", "problem"):
        tally = found.report.fragments.setdefault(batch.fragment, Tally())
        tally.include(tally_of(batch.counts))
        found.report.refusals[batch.fragment].update(batch.counts.get("refusals", {}))
        found.done += batch.status in WarmBatch.DONE
        found.claimed += batch.attempts > 0
        statuses.add(batch.status)
    found.problems = list(map(_told, parts.exclude(problem="")))
    found.report.status = _status(statuses)
    return found


def tally_of(counts: dict[str, Any]) -> Tally:
    """Return what ``asdict`` has made of a tally."""
    known = {part.name for part in fields(Tally)}
    return Tally(**{word: number for word, number in counts.items() if word in known})


def finish(pk: int) -> bool:
    """End a run whose batches are all done, by one process alone; whether this one did.

    The moment of its end is that process's claim, which lapses as others do.
    """
    open_batches = claims.batches().filter(run=pk).exclude(status__in=WarmBatch.DONE)
    if open_batches.exists():
        return False
    moment = timezone.now()
    forgotten = Q(finished_at=None) | Q(finished_at__lt=moment - timedelta(seconds=claims.LIFE))
    unfinished = claims.runs().filter(
        pk=pk, status=WarmRun.Status.RUNNING, batch_count__isnull=False
    )
    if not unfinished.filter(forgotten).update(finished_at=moment):
        return False
    run = claims.runs().get(pk=pk)
    found = gathered(run)
    status, problem = found.report.status, found.problem
    try:
        _publish(run)
    except CacheUnavailable as error:
        if status is Status.OK:
            status, problem = Status.UNAVAILABLE, f"The cache is unavailable: {error}"
    except Exception as error:
        logger.error("Targets are not told of run %s: %s", pk, error, exc_info=error)
        status, problem = Status.FAILED, f"{problem} Targets are not told: {error}".strip()
    unfinished.filter(finished_at=moment).update(
        status=str(status),
        problem=storable(problem),
        fragments=found.report.as_document()["fragments"],
        finished_at=timezone.now(),
    )
    return True


def _status(statuses: set[str]) -> Status:
    if WarmBatch.Status.FAILED in statuses:
        return Status.FAILED
    return Status.UNAVAILABLE if WarmBatch.Status.UNAVAILABLE in statuses else Status.OK


def _told(batch: WarmBatch) -> str:
    axis_values = batch.description.get("axis_values", {})
    texts = "".join(f", {name}={text}" for name, text in axis_values.items())
    part = described(batch.description) if "digest" in batch.description else "its items"
    return f"Batch {batch.number} ({batch.fragment}, {part}{texts}): {batch.problem}"


def _publish(run: WarmRun) -> None:
    """Let targets follow, for fragments of which every instance was walked with one digest."""
    if run.options.get("items") or run.options.get("axis"):
        return
    # A problem of the batch is one for which it was not walked to its end.
    states = claims.batches().filter(run=run).values_list("fragment", "problem").distinct()
    broken = {name for name, problem in states if problem}
    for name in {name for name, _problem in states} - broken:
        fragment = registry.find(name)
        if fragment is not None and _digests(run, name) == {digest_of(fragment)}:
            cache = store(run.options.get("using") or fragment.using)
            # How the last run of one machine walked it holds as before.
            manifest.publish(cache, [fragment], manifest.walked(cache, name))


def _digests(run: WarmRun, name: str) -> set[str]:
    mine = claims.batches().filter(run=run, fragment=name)
    return set(mine.values_list("description__digest", flat=True).distinct())
