"""The lock: one run at a time, held in the cache and for a bounded time only."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from django.core.cache import caches
from django.db import connections

from fragcache.entry import Entry, Kind
from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.keys import lock_key
from fragcache.page import now
from fragcache.records import pack_document, unpack_document
from fragcache.store import Store

#: Seconds that a lock outlives the last sign of its holder.
LIFE: Final = 60
_POLL: Final = 0.2


class Locked(FragcacheError):
    """Another run holds the lock."""


class Holder(NamedTuple):
    """Who holds a lock, and since when (microseconds)."""

    host: str
    pid: int
    since: int
    #: What pids of that host are counted in: containers may share a host name.
    pid_space: str


def holder_of(store: Store) -> Holder | None:
    """Return who holds the lock of a cache.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    key = lock_key("warm", store.room)
    entry = store.read_many([key]).get(key)
    if entry is None:
        return None
    found = unpack_document(entry.payload)
    host, pid, _moment = found["owner"].rsplit(":", 2)
    return Holder(host, int(pid), found["since"], found.get("pid_space", ""))


def pid_space() -> str:
    """Return what this process's pid is counted in, "" where the system does not say."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


@dataclass(slots=True)
class WarmingLock:
    """A context manager; ``wait`` is how many seconds to wait for the lock, until ``is_stopped``.

    Raises:
        Locked: another run holds it.
        CacheUnavailable: the cache does not answer.
    """

    store: Store
    wait: float = 0.0
    is_stopped: Callable[[], bool] = lambda: False
    _key: str = ""
    _owner: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> WarmingLock:
        self._key = lock_key("warm", self.store.room)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{now()}"
        deadline = time.monotonic() + self.wait
        while not self._acquire():
            if time.monotonic() >= deadline or self.is_stopped():
                raise Locked(self._holder())
            time.sleep(_POLL)
        threading.Thread(target=self._beat, name="fragcache warming lock", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        entry = self.store.read_many([self._key]).get(self._key)
        if entry is not None and unpack_document(entry.payload)["owner"] == self._owner:
            self.store.delete_many([self._key])

    def _beat(self) -> None:
        """Renew the lock while the process lives, however long one batch takes."""
        try:
            while not self._ended.wait(LIFE / 3):
                with suppress(CacheUnavailable):  # the run itself will find out
                    self.store.touch_many([self._key], LIFE)
        finally:
            connections.close_all()
            caches.close_all()

    def _acquire(self) -> bool:
        moment = now()
        payload = pack_document({"owner": self._owner, "since": moment, "pid_space": pid_space()})
        entry = Entry(Kind.LOCK, payload, as_of=moment, built_at=moment)
        return not self.store.add_many({self._key: entry}, LIFE)

    def _holder(self) -> str:
        holder = holder_of(self.store)
        if holder is None:
            return "Another run holds the lock."
        since = datetime.fromtimestamp(holder.since / 1_000_000, UTC)
        return (
            f"Another run holds the lock: process {holder.pid} on {holder.host}, "
            f"since {since:%H:%M:%S} UTC."
        )
