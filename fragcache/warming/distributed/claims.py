"""Claims: which worker does a batch. One atomic UPDATE decides, and signs of life keep it.

The clock is the database's. Conditions are on the batch's own row alone: PostgreSQL looks at no
other one again when two updates meet.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django import db
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils.connection import ConnectionDoesNotExist

from fragcache.exceptions import FragcacheError
from fragcache.models import WarmBatch, WarmRun

logger = logging.getLogger("fragcache.warm")

#: Seconds that a claim outlives the last sign of its worker.
LIFE: Final = 60
#: A batch that was claimed so often, and never finished, is not tried again.
ATTEMPTS: Final = 3

Status = WarmBatch.Status


class DatabaseUnavailable(FragcacheError):
    """There is no table of batches, or no database that has one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of this process to do one batch."""

    pk: int
    token: str
    #: Set when another worker was given the batch, since this one had shown no sign.
    lost: threading.Event = field(default_factory=threading.Event)

    def finish(self, **outcome: Any) -> bool:
        """Write what came of the batch; False where the claim was lost."""
        return self._update(**outcome, claim="", beat_at=Now(), finished_at=Now())

    def release(self) -> None:
        """Give the batch back, undone, by a worker that is told to end."""
        self._update(status=Status.WAITING, claim="", sent_at=None)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within it, a thread shows the signs of life."""
        ended = threading.Event()
        beating = threading.Thread(
            target=self._beat, args=(ended,), name="fragcache claim", daemon=True
        )
        beating.start()
        try:
            yield
        finally:
            ended.set()

    def _beat(self, ended: threading.Event) -> None:
        try:
            while not ended.wait(LIFE / 3):
                try:
                    if not self._update(beat_at=Now()) and not ended.is_set():
                        self.lost.set()
                except db.Error as error:
                    logger.warning("A batch could not show a sign of life: %s", error)
                    connections.close_all()
        finally:
            connections.close_all()
            caches.close_all()

    def _update(self, **changes: Any) -> bool:
        mine = batches().filter(pk=self.pk, claim=self.token, status=Status.RUNNING)
        return bool(mine.update(**changes))


def claimed(batch: WarmBatch) -> Claim | None:
    """Return the claim of a batch, or None where another worker has it or had it."""
    token = uuid.uuid4().hex
    free = batches().filter(Q(status=Status.WAITING) | lapsed(), pk=batch.pk, attempts__lt=ATTEMPTS)
    is_mine = free.update(
        status=Status.RUNNING,
        claim=token,
        host=socket.gethostname()[:255],
        pid=os.getpid(),
        attempts=F("attempts") + 1,
        claimed_at=Now(),
        beat_at=Now(),
    )
    return Claim(batch.pk, token) if is_mine else None


def lapsed() -> Q:
    """Return the condition that a batch was claimed, and its worker shows no signs any more."""
    return Q(status=Status.RUNNING, beat_at__lt=ago(LIFE))


def unsent() -> Q:
    """Return the condition that a batch waits, and is not in the queue."""
    return Q(status=Status.WAITING, sent_at=None)


def ago(seconds: float) -> CombinedExpression:
    """Return the moment so many seconds ago, by the database's clock."""
    return Now() - timedelta(seconds=seconds)


def runs() -> QuerySet[WarmRun]:
    """Return the runs in the database that is written, which no replica lags behind."""
    return WarmRun.objects.using(router.db_for_write(WarmRun))


def batches() -> QuerySet[WarmBatch]:
    """Return the batches beside their runs."""
    return WarmBatch.objects.using(router.db_for_write(WarmRun))


def check_database() -> None:
    """Check that batches can be written down.

    Raises:
        DatabaseUnavailable: they cannot; with what to do.
    """
    try:
        with transaction.atomic(using=router.db_for_write(WarmRun)):
            batches().exists()
    except (db.Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        said = str(error).strip().partition("\n")[0].removesuffix(".")
        raise DatabaseUnavailable(
            f"Batches for workers are kept in the database, but: {said}. If the table is missing, "
            "`manage.py migrate fragcache` makes it."
        ) from error
