"""What the kinds of locks have in common: who holds one, and what can be done with it."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fragcache.exceptions import FragcacheError
from fragcache.keys import lock_key
from fragcache.page import now
from fragcache.records import pack_document, unpack_document
from fragcache.store import Store


class Locked(FragcacheError):
    """Another run holds the lock."""


class LockUnavailable(FragcacheError):
    """The lock cannot be had, or nobody can tell who holds it."""


class Holder(NamedTuple):
    """Who holds a lock, and since when (microseconds)."""

    host: str
    pid: int
    since: int
    #: What pids of that host are counted in: containers may share a host name.
    pid_space: str

    @classmethod
    def this_process(cls) -> Holder:
        return cls(socket.gethostname(), os.getpid(), now(), pid_space())

    def pack(self) -> bytes:
        return pack_document(self._asdict())

    @classmethod
    def unpack(cls, payload: bytes) -> Holder:
        """Return who a lock says it is held by.

        Raises:
            ValueError: it does not say so, or is of another release.
        """
        document: Any = unpack_document(payload)  # of a file it may be anything
        if not isinstance(document, dict) or not document.keys() >= set(cls._fields):
            raise ValueError("it names no holder")
        return cls(**{name: document[name] for name in cls._fields})


class Lock(Protocol):
    """One lock of one kind; an object is for one attempt to have it, repeated or not."""

    def acquire(self, holder: Holder) -> bool:
        """Take the lock for this process, unless another has it; never wait.

        Raises:
            CacheUnavailable, LockUnavailable: it cannot be told.
        """

    def release(self) -> None:
        """Let go of what was acquired."""

    def holder(self) -> Holder | None:
        """Return who holds the lock, None where nobody does.

        Raises:
            CacheUnavailable, LockUnavailable: it cannot be told.
        """


def pid_space() -> str:
    """Return what this process's pid is counted in, "" where the system does not say."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def name_of(store: Store, *more: str) -> str:
    """Return 16 hexadecimal digits for a cache, by its alias, KEY_PREFIX and VERSION.

    Sites that share a database or a machine, but no cache, do not lock each other out.
    """
    parts = (store.alias, store.physical_key(lock_key("warm", store.room)), *more)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
