"""Recording: each run is a row of the database, and no run fails because it cannot be written."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final

from django.db import connections, router, transaction
from django.utils import timezone

from fragcache import transactions
from fragcache.exceptions import CacheUnavailable
from fragcache.models import WarmRun
from fragcache.warming.report import Report, Status

logger = logging.getLogger("fragcache.warm")

#: The least seconds between two updates of a row.
INTERVAL: Final = 5.0
#: How many runs are kept.
KEPT: Final = 1_000
#: Options of ``warm_fragments`` that say what is asked for; no others are recorded.
ASKED: Final = (
    *("labels", "exclude", "items", "axis", "using", "parallel", "batch_size", "force", "changed"),
    *("limit", "time_budget", "wait", "max_rate", "enqueue"),
)
#: How many of a list of labels or items are recorded.
_LISTED: Final = 100
_PROBLEM_LENGTH: Final = 1_000


class Recording:
    """A context manager around an execution, inside of its lock; ``update`` is for each batch.

    Whatever is wrong with the database is logged once, and the run goes on.
    """

    def __init__(self, options: Mapping[str, Any], report: Report) -> None:
        self._options = asked(options)
        self._report = report
        self._pk: int | None = None
        self._written = 0.0
        self._has_warned = False

    def __enter__(self) -> Recording:
        if not transactions.is_open():  # else the run will refuse
            self._attempt(self._begin)
        return self

    def update(self) -> None:
        """Write the counts so far, if ``INTERVAL`` has passed."""
        if self._pk is None or time.monotonic() - self._written < INTERVAL:
            return
        # In one that items() holds open it would be the site's write, and seen by nobody.
        if not transactions.is_open():
            self._attempt(self._write)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pk is None:
            return
        status, problem = self._outcome(error)
        self._attempt(
            lambda: self._write(
                status=str(status), problem=storable(problem), finished_at=timezone.now()
            )
        )
        self._attempt(prune)

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write in a transaction of its own, or a savepoint within a test's."""
        try:
            alias = router.db_for_write(WarmRun)
            if connections[alias].settings_dict["ENGINE"] == "django.db.backends.dummy":
                logger.info("The site has no database: its runs are not recorded.")
                return
            _close_if_broken(alias)
            with transaction.atomic(using=alias):
                write()
        except Exception as error:  # noqa: BLE001 - warming needs no record
            self._warn(error)

    def _begin(self) -> None:
        self._pk = WarmRun.objects.create(
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            started_at=timezone.now(),
            options=self._options,
        ).pk
        self._written = time.monotonic()

    def _write(self, **changes: Any) -> None:
        assert self._pk is not None
        self._written = time.monotonic()
        fragments = self._report.as_document()["fragments"]
        WarmRun.objects.filter(pk=self._pk).update(fragments=fragments, **changes)

    def _outcome(self, error: BaseException | None) -> tuple[Status, str]:
        if error is None:
            return self._report.status, self._report.problem
        if isinstance(error, CacheUnavailable):
            return Status.UNAVAILABLE, f"The cache is unavailable: {error}"
        if isinstance(error, Exception):
            return Status.FAILED, f"{type(error).__name__}: {error}"
        return Status.INTERRUPTED, f"Interrupted in the middle of a batch by {error!r}."

    def _warn(self, error: Exception) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        said = str(error).strip().partition("\n")[0]
        logger.warning(
            "The run is not recorded, or not to its end: %s: %s. If the table is missing, "
            "`manage.py migrate fragcache` makes it.",
            type(error).__name__,
            said.removesuffix("."),
        )


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, of a command's options."""
    found = {}
    for name in ASKED:
        value = options.get(name)
        if isinstance(value, list | tuple):
            value = [str(part) for part in value[:_LISTED]] + ["..."] * (len(value) > _LISTED)
        elif isinstance(value, float) and not math.isfinite(value):
            value = str(value)  # which JSON has no number for
        if value is not None and value is not False and value != []:
            found[name] = value
    return found


def prune() -> None:
    """Delete the oldest runs, so that ``KEPT`` are left."""
    # Their keys by a query of their own: MySQL deletes by no subquery with a limit.
    old = WarmRun.objects.values_list("pk", flat=True)[KEPT : 2 * KEPT]
    WarmRun.objects.filter(pk__in=list(old)).delete()


def storable(text: str) -> str:
    """Return what every database takes: no NUL, no half of a surrogate pair."""
    clean = text.replace("\0", "").encode("utf-8", "backslashreplace").decode()
    return clean[:_PROBLEM_LENGTH]


def _close_if_broken(alias: str) -> None:
    """Let a run outlive a restart of the database, after which Django's connection is of no use."""
    connection = connections[alias]
    is_connected = connection.connection is not None
    if is_connected and not connection.in_atomic_block and not connection.is_usable():
        connection.close()
