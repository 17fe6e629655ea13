"""Runs that workers do: begun, delivered to the queue, and renewed where something was lost."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from fragcache import conf, transactions
from fragcache.exceptions import FragcacheError, TransactionOpen
from fragcache.models import WarmBatch, WarmRun
from fragcache.warming.distributed import claims, gathering
from fragcache.warming.distributed.splitting import CannotEnqueue, descriptions
from fragcache.warming.plan import Plan
from fragcache.warming.recording import asked, prune

logger = logging.getLogger("fragcache.warm")

#: Seconds without any sign of a worker after which what waits in the queue is taken for lost.
SILENCE: Final = 900
#: Seconds without any sign of a worker after which a run has died.
ABANDONED: Final = 3600
#: Of how many runs the batches are kept.
KEPT: Final = 20
_WRITTEN_AT_ONCE: Final = 500

#: Puts a batch into the queue: the key of its run, and its number.
Send = Callable[[int, int], None]

Status = WarmBatch.Status


class QueueUnavailable(FragcacheError):
    """The queue does not take messages."""


def begin(plan: Plan, options: Mapping[str, Any]) -> WarmRun:
    """Write down a run and its batches; nothing is in the queue yet. Call it under the lock.

    A fragment whose items cannot be listed is a batch that has failed, and the others go on.

    Raises:
        TransactionOpen: this thread is inside of one, whose end workers would not wait for.
        CannotEnqueue: something cannot be told to workers; no run was begun.
    """
    if transactions.is_open():
        raise TransactionOpen("Batches are not enqueued inside of a transaction: call it after.")
    _close_the_dead(plan.using)
    run = claims.runs().create(
        host=socket.gethostname()[:255],
        pid=os.getpid(),
        started_at=timezone.now(),
        options=asked(options),
    )
    try:
        run.batch_count = _write(run, plan)
    except BaseException:
        run.delete()
        raise
    run.save(update_fields=["batch_count"])
    prune()
    _prune_batches()
    return run


def deliver(run: WarmRun, send: Send) -> int:
    """Put all batches that are not in the queue into it; return how many.

    Raises:
        QueueUnavailable: it takes no more; what was left out is known as lost.
    """
    number = _sent(run, claims.unsent(), send)
    gathering.finish(run.pk)  # which nobody else does, if no fragment's items could be listed
    return number


def renew(run: WarmRun, send: Send) -> int:
    """Put batches that were lost into the queue again; return how many.

    Lost are those that never came into the queue, that a worker took along when it died, and,
    where no worker gave a sign for ``SILENCE``, all that wait. One that was taken along
    ``ATTEMPTS`` times has failed.

    Raises:
        QueueUnavailable: it does not take them.
    """
    mine = claims.batches().filter(run=run)
    lost = claims.unsent() | claims.lapsed()
    mine.filter(lost, attempts__gte=claims.ATTEMPTS).update(
        status=Status.FAILED,
        counts={"failed": 1},
        problem=f"its workers died, {claims.ATTEMPTS} of them: it may be an instance that kills.",
        claim="",
        finished_at=Now(),
    )
    if not mine.filter(beat_at__gte=claims.ago(SILENCE)).exists():
        lost |= Q(status=Status.WAITING, sent_at__lt=claims.ago(SILENCE))
    again = _sent(run, lost & Q(attempts__lt=claims.ATTEMPTS), send)
    gathering.finish(run.pk)
    return again


def going_on(using: str | None) -> WarmRun | None:
    """Return the run that workers do for this cache, if there is one and it has not died."""
    for run in _unfinished(using):
        if not gathering.finish(run.pk) and is_alive(run):
            return run
    return None


def is_alive(run: WarmRun) -> bool:
    """Whether a run has begun, or a worker of it has given a sign, within ``ABANDONED``."""
    if run.started_at > timezone.now() - timedelta(seconds=ABANDONED):
        return True
    signs = WarmBatch.objects.using(run._state.db).filter(run=run)
    return signs.filter(beat_at__gte=claims.ago(ABANDONED)).exists()


def _unfinished(using: str | None) -> list[WarmRun]:
    found = claims.runs().filter(status=WarmRun.Status.RUNNING, batch_count__isnull=False)
    return [run for run in found if _alias(run.options.get("using")) == _alias(using)]


def _alias(using: str | None) -> str:
    return using or conf.settings().cache_alias


def _close_the_dead(using: str | None) -> None:
    """End runs that have died, so that what is left of them in the queue does nothing."""
    for run in _unfinished(using):
        claims.runs().filter(pk=run.pk, status=WarmRun.Status.RUNNING).update(
            status=WarmRun.Status.FAILED,
            fragments=gathering.gathered(run).report.as_document()["fragments"],
            problem="No worker gave a sign any more; another run was begun in its place.",
            finished_at=timezone.now(),
        )


def _write(run: WarmRun, plan: Plan) -> int:
    number = 0
    rows: list[WarmBatch] = []
    for number, batch in enumerate(_batches(run, plan), start=1):
        batch.number = number
        rows.append(batch)
        if len(rows) == _WRITTEN_AT_ONCE:
            claims.batches().bulk_create(rows)
            rows.clear()
    claims.batches().bulk_create(rows)
    return number


def _batches(run: WarmRun, plan: Plan) -> Iterator[WarmBatch]:
    for fragment in plan.fragments:
        try:
            for description in descriptions(fragment, plan):
                yield WarmBatch(run=run, fragment=fragment.name, description=description)
        except CannotEnqueue:
            raise
        except Exception as error:
            name = fragment.name
            logger.error("%s: %s", name, error, exc_info=error, extra={"fragment": name})
            yield WarmBatch(
                run=run,
                fragment=name,
                status=Status.FAILED,
                counts={"failed": 1},
                problem=f"{type(error).__name__}: {error}",
                finished_at=timezone.now(),
            )


def _sent(run: WarmRun, wanted: Q, send: Send) -> int:
    """Send the batches that meet a condition, each if it still does when its turn comes."""
    mine = claims.batches().filter(run=run)
    pairs = list(mine.filter(wanted).order_by("number").values_list("pk", "number"))
    return sum(_send_one(mine.filter(wanted, pk=pk), run.pk, number, send) for pk, number in pairs)


def _send_one(still: QuerySet[WarmBatch], run: int, number: int, send: Send) -> bool:
    if not still.update(status=Status.WAITING, claim="", sent_at=Now()):
        return False
    try:
        send(run, number)
    except Exception as error:
        unsent = claims.batches().filter(run=run, number=number, status=Status.WAITING)
        unsent.update(sent_at=None)
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise QueueUnavailable(f"The queue takes no messages: {said.removesuffix('.')}.") from error
    return True


def _prune_batches() -> None:
    ended: Iterable[int] = (
        claims.runs()
        .filter(batch_count__isnull=False)
        .exclude(status=WarmRun.Status.RUNNING)
        .values_list("pk", flat=True)[KEPT : KEPT + 100]
    )
    claims.batches().filter(run__in=list(ended)).delete()
