"""Turns: a run by one machine and one by workers do not go on at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from django.db import router, transaction

from fragcache.models import WarmRun
from fragcache.store import Store
from fragcache.warming.distributed.gathering import gathered
from fragcache.warming.distributed.runs import going_on
from fragcache.warming.locks import Locked, WarmingLock

_POLL: Final = 0.5


@contextmanager
def turn(
    store: Store, using: str | None, wait: float, is_stopped: Callable[[], bool]
) -> Iterator[None]:
    """Hold the lock while no workers are at a run; wait for up to so many seconds.

    Raises:
        Locked: another run goes on.
        CacheUnavailable, LockUnavailable: nobody can tell.
    """
    deadline = time.monotonic() + wait
    while True:
        with WarmingLock(store, max(0.0, deadline - time.monotonic()), is_stopped):
            other = _going_on(using)
            if other is None:
                yield
                return
        if time.monotonic() >= deadline or is_stopped():
            raise Locked(going_on_line(other))
        time.sleep(_POLL)


def going_on_line(run: WarmRun) -> str:
    """Say how far workers are with a run."""
    found = gathered(run)
    return f"Another run is going on: {found.done:,} of {found.count:,} batches are done."


def _going_on(using: str | None) -> WarmRun | None:
    """Return the run that workers do; None as well where the database does not tell."""
    try:
        with transaction.atomic(using=router.db_for_write(WarmRun)):
            return going_on(using)
    except Exception:  # noqa: BLE001 - as for its record, a run does not need the database
        return None
