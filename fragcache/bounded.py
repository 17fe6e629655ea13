"""A bounded mapping: what is read stays, what is not makes room.

The algorithm is that of hashlru (Dominic Tarr, 2016): a young generation is filled, an old one is
only read. When the young one has half of the size it becomes the old one, whose values are dropped
unless they were read meanwhile. A hit is one lookup without a lock: a hundred of them take 5
microseconds, of cachetools' LRUCache 25, a third of what a page of a hundred fragments may take.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from fragcache.locks import new_lock

V = TypeVar("V")


class Bounded(Generic[V]):
    """Values by name, for all threads, of a total size of at most ``max_size``; 0 keeps none."""

    def __init__(self, max_size: int, size_of: Callable[[V], int]) -> None:
        self._half = max_size // 2
        self._size_of = size_of
        self._lock = new_lock()
        self._young: dict[Hashable, V] = {}
        self._old: dict[Hashable, V] = {}
        self._young_size = self._old_size = 0

    @property
    def is_on(self) -> bool:
        return self._half > 0

    @property
    def size(self) -> int:
        """What is kept takes, in the unit of ``size_of``."""
        return self._young_size + self._old_size

    def get_many(self, names: Iterable[Hashable]) -> list[V | None]:
        """Return the values in the order of ``names``, None for what is not kept."""
        wanted = list(names)
        found = list(map(self._young.get, wanted))
        if self._old and None in found:
            return self._promoted(wanted)
        return found

    def keep(self, values: Mapping[Any, V]) -> None:
        """Keep values until there is no room for them; one of half the size has none."""
        if self.is_on:
            with self._lock:
                for name, value in values.items():
                    self._put(name, value)

    def drop(self, name: Hashable) -> None:
        """Drop one value, if it is kept."""
        with self._lock:
            former = self._young.pop(name, None)
            if former is not None:
                self._young_size -= self._size_of(former)
            self._forget_old(name)

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._young, self._old = {}, {}
            self._young_size = self._old_size = 0

    def _promoted(self, names: list[Hashable]) -> list[V | None]:
        """Return the values; those that were read become young."""
        found = []
        with self._lock:
            for name in names:
                value = self._young.get(name)
                if value is None and (value := self._old.get(name)) is not None:
                    self._put(name, value)
                found.append(value)
        return found

    def _put(self, name: Hashable, value: V) -> None:
        former = self._young.pop(name, None)
        if former is not None:
            self._young_size -= self._size_of(former)
        size = self._size_of(value)
        if size > self._half:
            self._forget_old(name)
            return
        if self._young_size + size > self._half:
            self._old, self._old_size = self._young, self._young_size
            self._young, self._young_size = {}, 0
        self._young[name] = value
        self._young_size += size

    def _forget_old(self, name: Hashable) -> None:
        former = self._old.pop(name, None)
        if former is not None:
            self._old_size -= self._size_of(former)
