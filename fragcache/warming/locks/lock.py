"""The lock of a run: of the kind that is set, waited for, and explained to who does not get it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from fragcache import conf
from fragcache.store import Store
from fragcache.warming.locks.base import Holder, Lock, Locked, LockUnavailable
from fragcache.warming.locks.cache import CacheLock
from fragcache.warming.locks.database import DatabaseLock
from fragcache.warming.locks.file import FileLock, default_path

_POLL: Final = 0.2


def lock_of(store: Store) -> Lock:
    """Return the lock of a cache, of the kind that ``FRAGCACHE["LOCK"]`` names.

    Raises:
        LockUnavailable: the database can hold none.
    """
    kind, _, path = conf.settings().LOCK.partition(":")
    if kind == "database":
        return DatabaseLock(store)
    if kind == "file":
        return FileLock(Path(path) if path else default_path(store))
    return CacheLock(store)


def holder_of(store: Store) -> Holder | None:
    """Return who holds the lock of a cache.

    Raises:
        CacheUnavailable, LockUnavailable: it cannot be told.
    """
    return lock_of(store).holder()


@dataclass(slots=True)
class WarmingLock:
    """A context manager; ``wait`` is how many seconds to wait for the lock, until ``is_stopped``.

    Raises:
        Locked: another run holds it.
        CacheUnavailable, LockUnavailable: it cannot be told.
    """

    store: Store
    wait: float = 0.0
    is_stopped: Callable[[], bool] = lambda: False
    _lock: Lock = field(init=False)

    def __enter__(self) -> WarmingLock:
        self._lock = lock_of(self.store)
        deadline = time.monotonic() + self.wait
        while not self._lock.acquire(Holder.this_process()):
            if time.monotonic() >= deadline or self.is_stopped():
                raise Locked(self._sentence())
            time.sleep(_POLL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _sentence(self) -> str:
        try:
            holder = self._lock.holder()
        except LockUnavailable:
            holder = None
        if holder is None:
            return "Another run holds the lock."
        since = datetime.fromtimestamp(holder.since / 1_000_000, UTC)
        return (
            f"Another run holds the lock: process {holder.pid} on {holder.host}, "
            f"since {since:%H:%M:%S} UTC."
        )
