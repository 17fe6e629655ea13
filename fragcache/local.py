"""The local cache: verified entries in process memory, bounded in bytes.

An entry is immutable, so that a copy of it stays right for as long as its tokens do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple, cast
from weakref import WeakSet

from django.utils.safestring import SafeString

from fragcache.bounded import Bounded
from fragcache.entry import Entry, Field, Kind
from fragcache.holed import Holed, html_of

#: Seconds after which a copy is fetched anew, so that every process sees what an operator
#: overwrites or clears on the server, tokens or not.
LIFE: Final = 60
#: What a copy takes beside its text: its name, tokens, tuple, place in a dict.
_OVERHEAD_BYTES: Final = 600
_SECOND: Final = 1_000_000


class Conditions(NamedTuple):
    """What has to hold, beside tokens and time, as an entry's header says it; None is nothing."""

    #: The templates that a variable chose.
    includes: bytes | None
    #: The inner instances that it shows.
    dependencies: bytes | None


class Kept(NamedTuple):
    """What a page needs of a verified entry."""

    html: SafeString
    tokens: bytes
    #: Microseconds since 1970 UTC after which it is neither fresh nor to be kept.
    until: int
    #: Until when the entry itself is fresh, 0 for ever.
    fresh_until: int
    #: None for most.
    conditions: Conditions | None
    #: When it was rendered.
    built_at: int


class KeptSnapshot(NamedTuple):
    """A verified context: its snapshot as bytes, which is opened anew for each who fetches it."""

    payload: bytes
    tokens: bytes
    #: As of a ``Kept``.
    until: int
    built_at: int
    #: The name of the fragment, and the arguments as keys have them.
    instance: tuple[str, str]
    #: The inner instances whose HTML it holds, as its header says it; None for most.
    dependencies: bytes | None


def kept_snapshot(entry: Entry, moment: int, life: float | None) -> KeptSnapshot | None:
    """Return what to keep of a context, None for an entry of another kind."""
    if entry.kind != Kind.SNAPSHOT:
        return None
    end = _end(moment, life)
    until = min(entry.fresh_until, end) if entry.fresh_until else end
    name, _colon, arguments = (entry.field(Field.INSTANCE) or b"").decode().partition(":")
    shown = entry.field(Field.DEPENDENCIES) if entry.has_critical else None
    instance = name, arguments
    return KeptSnapshot(entry.payload, entry.tokens, until, entry.built_at, instance, shown)


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
            html_of(entry),
            tokens.setdefault(entry.tokens, entry.tokens),
            min(entry.fresh_until, until) if entry.fresh_until else until,
            entry.fresh_until,
            _conditions(entry) if entry.has_critical else None,
            entry.built_at,
        )
    return copies


def _conditions(entry: Entry) -> Conditions:
    return Conditions(entry.field(Field.INCLUDES), entry.field(Field.DEPENDENCIES))


def _end(moment: int, life: float | None) -> int:
    return moment + int((LIFE if life is None else min(life, LIFE)) * _SECOND)


class LocalCache(Bounded[Kept]):
    """Copies of one alias's entries, for all threads of the process; 0 bytes keep none.

    A copy's name is its key, or whatever else tells the entry from all others.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, size_of=_bytes)
        _all.add(self)

    @property
    def snapshots(self) -> Bounded[KeptSnapshot]:
        """Where contexts are kept: in the same room, under names that no HTML has."""
        return cast("Bounded[KeptSnapshot]", self)


def clear_all() -> None:
    """Drop all copies of all aliases, as when a cache is cleared."""
    for cache in list(_all):
        cache.clear()


def _bytes(copy: Kept | KeptSnapshot) -> int:
    if isinstance(copy, KeptSnapshot):
        return sys.getsizeof(copy.payload) + _OVERHEAD_BYTES
    size = sys.getsizeof(copy.html) + _OVERHEAD_BYTES
    if isinstance(copy.html, Holed):  # which has its text in pieces as well
        size += sum(map(sys.getsizeof, copy.html.pieces)) + _OVERHEAD_BYTES * len(copy.html.holes)
    return size + sum(len(one or b"") for one in copy.conditions) if copy.conditions else size


_all: WeakSet[LocalCache] = WeakSet()
