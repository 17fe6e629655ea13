"""What the storage layer asks of a cache: Django's API, in bulk, with answers for every key.

Keys are logical, as in Django: the backend applies ``make_key`` and answers with what it was asked
for. A ``timeout`` is in seconds; None is for ever, zero or less expires at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache, default_key_func

from fragcache import local, token_memory
from fragcache.entry import FUTURE_TOLERANCE_US, rank

K = TypeVar("K")

#: Seconds that ``advance_many`` waits for the locks of other writers, over the whole batch.
LOCK_WAIT: Final = 1.0
#: Seconds after which the lock of a writer that was killed is gone.
_LOCK_LIFE: Final = 2
_LOCK_POLL: Final = 0.005


class NodeLost(ConnectionError):
    """A server of several, whose answer was needed, does not give one; others work."""


class Advance(NamedTuple):
    """A sealed value that replaces none of higher rank, unless that one is ``seen``."""

    value: bytes
    #: What the caller read under the key and decided to replace, whatever its rank.
    seen: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats:
    """What one server says of itself, or in ``error`` why it says nothing."""

    address: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


class FragmentBackend(BaseCache):
    """A Django cache with the bulk primitives of fragments.

    The defaults are correct on any cache, and slow: a round trip and more for every key. They are
    as atomic as the cache's ``add``. A backend overrides them and says so in its attributes.
    """

    #: Whether other processes read what this one writes.
    shared: bool = True
    #: Whether what is written can be read again.
    stores: bool = True
    #: Whether ``clear`` lets this process forget what it knew: what is gone then was lost.
    forgets: bool = True
    #: Whether bytes are stored as they are, and nothing is ever unpickled.
    raw: bool = False
    #: What the client raises when the server fails: no connection, a time-out, a server's error.
    errors: ClassVar[tuple[type[Exception], ...]] = (Exception,)
    #: Those of them that are answers: the cache works, and will not do this one thing.
    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    #: Larger values are refused before they are sent.
    max_value_bytes: int | None = None
    #: How many copies of a small vital value are worth keeping, on different nodes.
    token_copies: int = 1

    def refuses(self, error: Exception) -> bool:
        """Whether one of ``errors`` is an answer."""
        return isinstance(error, self.refusals)

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        """Store values; return the keys that were refused, under which nothing is left."""
        return list(self.store_many(data, timeout, version))

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        """Store values; return the keys that were refused, as ``set_many``, and why."""
        refused = self.too_large(data)
        if refused:
            self.delete_many(list(refused), version=version)
        for key, value in data.items():
            if key not in refused:
                self.set(key, value, timeout, version=version)
        return refused

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        """Store what is absent; return the keys that were not added."""
        refused = set(self.too_large(data))
        return [
            key
            for key, value in data.items()
            if key in refused or not self.add(key, value, timeout, version=version)
        ]

    def touch_many(
        self,
        keys: Iterable[str],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        """Let values live for ``timeout`` from now; return the keys that are missing."""
        return [key for key in keys if not self.touch(key, timeout, version=version)]

    def advance_many(
        self,
        values: Mapping[str, Advance],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        """Store sealed values in the order of their rank; return the keys that were not advanced.

        Raises:
            TimeoutError: other writers kept their locks for ``LOCK_WAIT`` seconds.
        """
        stayed = []
        waiting = dict(values)
        deadline = time.monotonic() + LOCK_WAIT
        while waiting:
            locks = {key: _lock_key(key) for key in waiting}
            held = set(self.add_many(dict.fromkeys(locks.values(), b"1"), _LOCK_LIFE, version))
            mine = {key: waiting.pop(key) for key, lock in locks.items() if lock not in held}
            try:
                stayed += self._advance_locked(mine, timeout, version)
            finally:
                self.delete_many([locks[key] for key in mine], version=version)
            if waiting and time.monotonic() > deadline:
                raise TimeoutError(
                    f"{next(iter(waiting))!r} is locked by another writer for {LOCK_WAIT:g} s; "
                    "one that was killed holds its lock a second longer. Try again."
                )
            time.sleep(_LOCK_POLL if waiting else 0)
        return stayed

    def clear(self) -> None:
        """Remove everything, also what this process remembers of it."""
        super().clear()
        local.clear_all()
        token_memory.forget_all()

    def server_stats(self) -> list[ServerStats]:
        """Return what each server says of itself within a second; raises nothing."""
        return []

    def make_keys(self, keys: Iterable[str], version: int | None = None) -> list[str]:
        """Return what ``make_key`` makes of each key."""
        if self.key_func is default_key_func:  # optimisation: a tenth of the time of the calls
            prefix = f"{self.key_prefix}:{self.version if version is None else version}:"
            return [f"{prefix}{key}" for key in keys]
        return [self.make_key(key, version=version) for key in keys]

    def lifetime(self, timeout: float | None) -> float | None:
        """Return ``timeout``, or the alias's own for ``DEFAULT_TIMEOUT``."""
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout

    def too_large(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the keys of values that are larger than ``max_value_bytes``, and that as why."""
        limit = self.max_value_bytes
        if limit is None:
            return {}
        why = f"larger than {limit:,} bytes"
        return {
            key: why
            for key, value in data.items()
            if isinstance(value, bytes) and len(value) > limit
        }

    def _advance_locked(
        self, values: Mapping[str, Advance], timeout: float | None, version: int | None
    ) -> list[str]:
        stored = self.get_many(values, version=version)
        goes = advances_over(values, stored.get)
        refused = self.set_many({key: values[key].value for key in goes}, timeout, version)
        return [key for key in values if key not in goes or key in refused]


class BulkBackend(FragmentBackend):
    """A backend of ours, in which bulk is the primitive and a single key is sugar."""

    raw = True

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self.get_many([key], version=version).get(key, default)

    def set(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        self.set_many({key: value}, timeout, version=version)

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        return not self.add_many({key: value}, timeout, version=version)

    def touch(
        self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return not self.touch_many([key], timeout, version=version)


def advances_over(values: Mapping[K, Advance], stored: Callable[[K], object]) -> set[K]:
    """Return the keys whose value may be written, given what is stored under them.

    It may where nothing is stored, or no sealed value; one of no higher rank; one from further in
    the future than clocks differ; or exactly what the caller has seen.
    """
    limit = horizon()
    return {key for key, value in values.items() if _goes(value, stored(key), limit)}


def horizon() -> int:
    """Return the highest rank that is believed now, in microseconds since 1970."""
    return time.time_ns() // 1000 + FUTURE_TOLERANCE_US


def _goes(new: Advance, stored: object, limit: int) -> bool:
    if not isinstance(stored, bytes) or stored == new.seen:
        return True
    held = rank(stored)
    return held <= rank(new.value) or held > limit


def _lock_key(key: str) -> str:
    return f"{key}:advance"
