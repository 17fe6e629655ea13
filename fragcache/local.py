"""The local cache: verified entries in process memory, bounded in bytes.

An entry is immutable, so that a copy of it stays right for as long as its tokens do. The bound is
kept by the algorithm of hashlru (Dominic Tarr, 2016): a young generation is filled, an old one is
only read. When the young one has half of the bytes it becomes the old one, whose copies are
dropped unless they were read meanwhile. A hit is one lookup without a lock: a page of a hundred
takes 5 microseconds, of cachetools' LRUCache 25, which is a third of what the whole page may take.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from weakref import WeakSet

from django.utils.safestring import SafeString

from fragcache.entry import Entry, Field, Kind

#: Seconds after which a copy is fetched anew, so that every process sees what an operator
#: overwrites or clears on the server, tokens or not.
LIFE: Final = 60
#: What a copy takes beside its text: its name, tokens, tuple, place in a dict.
_OVERHEAD_BYTES: Final = 600
_SECOND: Final = 1_000_000


class Kept(NamedTuple):
    """What a page needs of a verified entry."""

    html: SafeString
    tokens: bytes
    #: Microseconds since 1970 UTC after which it is neither fresh nor to be kept.
    until: int
    #: The templates that a variable chose, as the entry holds them.
    includes: bytes | None


def kept_many(
    found: Mapping[str, Entry], moment: int, lives: Mapping[str, float | None]
) -> dict[str, Kept | None]:
    """Return what to keep of entries that were read or written at ``moment``, None for no entry.

    ``lives`` has their keys, and the seconds that a copy may be kept.
    """
    # Optimisation: copies of one page share what is equal, so that fewer objects are read.
    tokens: dict[bytes, bytes] = {}
    ends = {life: _end(moment, life) for life in set(lives.values())}
    copies: dict[str, Kept | None] = {}
    for key, life in lives.items():
        entry = found.get(key)
        if entry is None or entry.kind != Kind.HTML:
            copies[key] = None
            continue
        until = ends[life]
        copies[key] = Kept(
            SafeString(entry.payload, "utf-8"),
            tokens.setdefault(entry.tokens, entry.tokens),
            min(entry.fresh_until, until) if entry.fresh_until else until,
            entry.field(Field.INCLUDES) if entry.has_critical else None,
        )
    return copies


def _end(moment: int, life: float | None) -> int:
    return moment + int((LIFE if life is None else min(life, LIFE)) * _SECOND)


class LocalCache:
    """Copies of one alias's entries, for all threads of the process; 0 bytes keep none.

    A copy's name is its key, or whatever else tells the entry from all others.
    """

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._lock = threading.Lock()
        self._young: dict[Hashable, Kept] = {}
        self._old: dict[Hashable, Kept] = {}
        self._young_bytes = self._old_bytes = 0
        _all.add(self)

    @property
    def is_on(self) -> bool:
        return self._half > 0

    @property
    def bytes(self) -> int:
        """How much memory the copies take, about."""
        return self._young_bytes + self._old_bytes

    def get_many(self, names: Iterable[Hashable]) -> list[Kept | None]:
        """Return the copies in the order of ``names``."""
        wanted = list(names)
        found = list(map(self._young.get, wanted))
        if self._old and None in found:
            self._promote(wanted, found)
        return found

    def keep(self, copies: Mapping[Any, Kept]) -> None:
        """Keep copies in memory, until others are read more often."""
        if not self.is_on:
            return
        with self._lock:
            for name, copy in copies.items():
                size = sys.getsizeof(copy.html) + _OVERHEAD_BYTES
                if name in self._young:
                    self._young[name] = copy
                elif size <= self._half:
                    if self._young_bytes + size > self._half:
                        self._old, self._old_bytes = self._young, self._young_bytes
                        self._young, self._young_bytes = {}, 0
                    self._young[name] = copy
                    self._young_bytes += size

    def clear(self) -> None:
        """Drop all copies."""
        with self._lock:
            self._young, self._old = {}, {}
            self._young_bytes = self._old_bytes = 0

    def _promote(self, names: list[Hashable], found: list[Kept | None]) -> None:
        promoted = {}
        for position, name in enumerate(names):
            if found[position] is None and (copy := self._old.get(name)) is not None:
                found[position] = promoted[name] = copy
        self.keep(promoted)


def clear_all() -> None:
    """Drop all copies of all aliases, as when a cache is cleared."""
    for cache in list(_all):
        cache.clear()


_all: WeakSet[LocalCache] = WeakSet()
