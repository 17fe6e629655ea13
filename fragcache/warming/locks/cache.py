"""A lock in the cache itself: needs nothing else, and is held for a bounded time only."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

from django.core.cache import caches
from django.db import connections

from fragcache.entry import Entry, Kind, rank
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import lock_key
from fragcache.page import now
from fragcache.store import Store
from fragcache.warming.locks.base import Holder, LockUnavailable

#: Seconds that a lock outlives the last sign of its holder.
LIFE: Final = 60


class CacheLock:
    """A value under a key of its own, which a thread renews."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = lock_key("warm", store.room)
        self._mine: Holder | None = None
        self._ended = threading.Event()

    def acquire(self, holder: Holder) -> bool:
        mine = {self._key: sealed_form(holder)}
        if self._store.add_many(mine, LIFE):
            if not self._is_no_lock():
                return False
            # Two that find it at once may both run, which does no harm.
            self._store.delete_many([self._key])
            if self._store.add_many(mine, LIFE):
                return False
        self._mine = holder
        threading.Thread(target=self._beat, name="fragcache warming lock", daemon=True).start()
        return True

    def release(self) -> None:
        self._ended.set()
        # Else it ends by itself, and how the run ended is told.
        with suppress(CacheUnavailable, LockUnavailable):
            if self.holder() == self._mine:
                self._store.delete_many([self._key])

    def holder(self) -> Holder | None:
        entry = self._store.read_many([self._key]).get(self._key)
        try:
            return None if entry is None else Holder.unpack(entry.payload)
        except ValueError as error:
            said = f"The lock in the cache alias {self._store.alias!r} does not say who holds it."
            raise LockUnavailable(said) from error

    def _is_no_lock(self) -> bool:
        """Whether there is what no run has written: it would keep away all of them, for ever.

        A lock of a machine whose clock is ahead is one.
        """
        stored = self._store.fetch_many([self._key])
        is_believed = bool(self._store.open_many(stored))
        return not is_believed and any(rank(data) <= now() for data in stored.values())

    def _beat(self) -> None:
        """Renew the lock while the process lives, however long one batch takes."""
        try:
            while not self._ended.wait(LIFE / 3):
                with suppress(CacheUnavailable):  # the run itself will find out
                    self._store.touch_many([self._key], LIFE)
        finally:
            connections.close_all()
            caches.close_all()


def sealed_form(holder: Holder, payload: bytes | None = None) -> Entry:
    """Return what stands in the cache for a holder."""
    return Entry(Kind.LOCK, payload or holder.pack(), as_of=holder.since, built_at=holder.since)
