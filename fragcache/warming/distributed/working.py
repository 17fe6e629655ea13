"""Working: what a worker does with the number of a batch that a queue hands to it."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, NamedTuple

from fragcache import conf, registry
from fragcache.digests import digest_of
from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.models import WarmBatch, WarmRun
from fragcache.warming.distributed import gathering
from fragcache.warming.distributed.claims import Claim, batches, claimed
from fragcache.warming.distributed.splitting import restored
from fragcache.warming.plan import BATCH_SIZE, Plan
from fragcache.warming.recording import storable
from fragcache.warming.report import Report
from fragcache.warming.report import Status as RunStatus
from fragcache.warming.run import Run

logger = logging.getLogger("fragcache.warm")

Status = WarmBatch.Status


class OtherRelease(FragcacheError):
    """The worker has not the code of the process that has enqueued a batch."""


class _Outcome(NamedTuple):
    status: Status
    report: Report
    problem: str = ""


def work(run: int, number: int) -> str:
    """Do a batch, unless it is done or in other hands; return what became of it.

    ``run`` is the key of a run. What fails is recorded and not raised: no queue is to repeat it.
    """
    batch = batches().filter(run=run, number=number).select_related("run").first()
    if batch is None or batch.run.status != WarmRun.Status.RUNNING:
        return "its run is over"
    claim = claimed(batch)
    if claim is None:
        return "done, or in other hands"
    try:
        with claim.kept():
            outcome = _outcome(batch, claim)
    except BaseException:  # the worker is told to end at once
        claim.release()
        raise
    is_counted = claim.finish(
        status=outcome.status,
        counts=_counts(batch.fragment, outcome.report),
        problem=storable(outcome.problem),
    )
    gathering.finish(run)
    return str(outcome.status) if is_counted else "taken over by another worker"


def _outcome(batch: WarmBatch, claim: Claim) -> _Outcome:
    report = Report()
    try:
        run = Run(_plan(batch), report=report, is_stopped=claim.lost.is_set)
        run.execute()
    except CacheUnavailable as error:
        problem = f"the cache is unavailable: {error}"
        return _Outcome(Status.UNAVAILABLE, report, problem)
    except Exception as error:
        logger.error("Batch %s: %s", batch, error, exc_info=error)
        return _Outcome(Status.FAILED, Report(), _said(error))
    if report.status is RunStatus.OK:
        return _Outcome(Status.OK, report)
    problem = "" if run.is_walked else "it broke off: the log of its worker says why."
    return _Outcome(Status.FAILED, report, problem)


def _plan(batch: WarmBatch) -> Plan:
    if conf.settings().READ_ONLY:
        raise OtherRelease("this worker has FRAGCACHE['READ_ONLY']: give it the source's settings.")
    fragment = registry.find(batch.fragment)
    if fragment is None or digest_of(fragment) != batch.description["digest"]:
        raise OtherRelease("this worker runs another release: restart it.")
    part, axis_values = restored(fragment, batch.description)
    options: dict[str, Any] = batch.run.options
    return Plan(
        fragments=[fragment],
        using=options.get("using"),
        within=part,
        axis_values=axis_values,
        batch_size=options.get("batch_size", BATCH_SIZE),
        force=options.get("force", False),
    )


def _counts(name: str, report: Report) -> dict[str, Any]:
    """Return the counts of a batch as JSON; of one that did not come to it, a failure."""
    if name not in report.fragments:
        return {"failed": 1}
    return asdict(report.fragments[name]) | {"refusals": dict(report.refusals[name])}


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, OtherRelease) else f"{type(error).__name__}: {error}"
