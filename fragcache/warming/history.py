"""History: the recorded runs, and which of them died without a word."""

from __future__ import annotations

import os
import socket
from typing import Any, Final

from django.utils import timezone

from fragcache.exceptions import CacheUnavailable, FragcacheError, UnknownAlias
from fragcache.models import WarmRun
from fragcache.store import store
from fragcache.warming.distributed import Gathered, gathered, is_alive
from fragcache.warming.locks.base import Holder, LockUnavailable, pid_space
from fragcache.warming.locks.lock import holder_of

#: Shown instead of "running" of a run whose process is gone.
DIED: Final = "died"
COUNTS: Final = ("planned", "fresh", "rendered", "stored", "refused", "failed")
#: Nobody can tell who holds a lock.
_UNKNOWN: Final = (CacheUnavailable, LockUnavailable, UnknownAlias)


class Locks(dict[str | None, Holder | None]):
    """Who holds the lock, by cache alias; each cache is asked once, and each run's batches.

    Raises:
        CacheUnavailable, LockUnavailable, UnknownAlias: nobody can tell.
    """

    def __init__(self) -> None:
        super().__init__()
        self._gathered: dict[int, Gathered] = {}
        #: Why caches did not tell: each of them is waited for once.
        self._silent: dict[str | None, FragcacheError] = {}
        #: Of runs that have not ended, by their keys.
        self.statuses: dict[int, str] = {}

    def gathered(self, run: WarmRun) -> Gathered | None:
        """Return what the batches say of a run that workers are at."""
        if run.batch_count is None or run.status != WarmRun.Status.RUNNING:
            return None
        if run.pk not in self._gathered:
            self._gathered[run.pk] = gathered(run)
        return self._gathered[run.pk]

    def __missing__(self, alias: str | None) -> Holder | None:
        if alias in self._silent:
            raise self._silent[alias]
        try:
            self[alias] = found = holder_of(store(alias))
        except _UNKNOWN as error:
            self._silent[alias] = error
            raise
        return found


def described(run: WarmRun, locks: Locks) -> dict[str, Any]:
    """Return a run as ``fragments runs --json`` prints it."""
    return {
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "seconds": seconds_of(run, locks),
        "host": run.host,
        "pid": run.pid,
        "status": status_of(run, locks),
        "options": run.options,
        "batches": _batches(run, locks),
        "fragments": fragments_of(run, locks),
        "totals": {word: total_of(run, word, locks) for word in COUNTS},
        "problem": run.problem,
    }


def fragments_of(run: WarmRun, locks: Locks) -> dict[str, Any]:
    """Return the counts by fragment, as far as they are known."""
    found = locks.gathered(run)
    counts: dict[str, Any] = found.report.as_document()["fragments"] if found else run.fragments
    return counts


def total_of(run: WarmRun, word: str, locks: Locks) -> int:
    """Return the sum over the fragments of "planned", "fresh", or another of their counts."""
    found = locks.gathered(run)
    return getattr(found.report.totals, word) if found else run.total(word)


def progress_of(run: WarmRun, locks: Locks) -> str:
    """Return how many batches of a run that workers are at are done, as "30/80"; else ""."""
    found = locks.gathered(run)
    return f"{found.done}/{found.count}" if found else ""


def is_untouched(run: WarmRun, locks: Locks) -> bool:
    """Whether a run is enqueued, and no worker has taken any of it yet."""
    found = locks.gathered(run)
    return found is not None and not found.claimed


def status_of(run: WarmRun, locks: Locks) -> str:
    """Return the status of a run, ``DIED`` where it never ended and its process is gone.

    A run that goes on holds the lock of its cache, which outlives its process by at most
    ``locks.cache.LIFE``; on its own host the process is looked for as well. Of a lock that does
    not answer, nothing is concluded. One that workers are at has died when none of them gives
    a sign.
    """
    if run.status != WarmRun.Status.RUNNING:
        return run.status
    if run.pk not in locks.statuses:
        locks.statuses[run.pk] = _running_or_died(run, locks)
    return locks.statuses[run.pk]


def seconds_of(run: WarmRun, locks: Locks) -> float | None:
    """Return how long a run took, or has taken so far; None where it died."""
    if run.finished_at is None and status_of(run, locks) == DIED:
        return None
    ended = run.finished_at or timezone.now()
    return round((ended - run.started_at).total_seconds(), 3)


def _running_or_died(run: WarmRun, locks: Locks) -> str:
    if run.batch_count is not None:
        return run.status if is_alive(run) else DIED
    try:
        return run.status if _is_alive(run, locks[run.options.get("using")]) else DIED
    except _UNKNOWN:
        return run.status


def _batches(run: WarmRun, locks: Locks) -> dict[str, int] | None:
    if run.batch_count is None:
        return None
    found = locks.gathered(run)
    return {"done": found.done if found else run.batch_count, "count": run.batch_count}


def _is_alive(run: WarmRun, holder: Holder | None) -> bool:
    # A container may start each of its runs with the same name and pid; hence the times.
    return (
        holder is not None
        and (holder.host[:255], holder.pid) == (run.host, run.pid)
        and holder.since <= run.started_at.timestamp() * 1_000_000
        and not _is_gone(holder)
    )


def _is_gone(holder: Holder) -> bool:
    """Whether this system has no such process; False where that cannot be told from here."""
    is_here = (holder.host, holder.pid_space) == (socket.gethostname(), pid_space())
    if not is_here or os.name != "posix":  # elsewhere os.kill() would end it
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False
