"""History: the recorded runs, and which of them died without a word."""

from __future__ import annotations

import os
import socket
from typing import Any, Final

from django.core.cache import InvalidCacheBackendError
from django.utils import timezone

from fragcache.exceptions import CacheUnavailable
from fragcache.models import WarmRun
from fragcache.store import store
from fragcache.warming.locks.base import Holder, LockUnavailable, pid_space
from fragcache.warming.locks.lock import holder_of

#: Shown instead of "running" of a run whose process is gone.
DIED: Final = "died"
COUNTS: Final = ("planned", "fresh", "rendered", "stored", "refused", "failed")


class Locks(dict[str | None, Holder | None]):
    """Who holds the lock, by cache alias; each cache is asked once.

    Raises:
        CacheUnavailable, LockUnavailable: nobody can tell.
    """

    def __missing__(self, alias: str | None) -> Holder | None:
        self[alias] = found = holder_of(store(alias))
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
        "fragments": run.fragments,
        "totals": {word: run.total(word) for word in COUNTS},
        "problem": run.problem,
    }


def status_of(run: WarmRun, locks: Locks) -> str:
    """Return the status of a run, ``DIED`` where it never ended and its process is gone.

    A run that goes on holds the lock of its cache, which outlives its process by at most
    ``locks.cache.LIFE``; on its own host the process is looked for as well. Of a lock that does
    not answer, nothing is concluded.
    """
    if run.status != WarmRun.Status.RUNNING:
        return run.status
    try:
        return run.status if _is_alive(run, locks[run.options.get("using")]) else DIED
    except (CacheUnavailable, LockUnavailable, InvalidCacheBackendError):
        return run.status


def seconds_of(run: WarmRun, locks: Locks) -> float | None:
    """Return how long a run took, or has taken so far; None where it died."""
    if run.finished_at is None and status_of(run, locks) == DIED:
        return None
    ended = run.finished_at or timezone.now()
    return round((ended - run.started_at).total_seconds(), 3)


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
