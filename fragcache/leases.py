"""Leases: the right to render one key, held by one process for a bounded time.

After Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013). A lease saves work and decides
nothing: who loses it, or never gets one, may render as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from fragcache.entry import Entry, Kind
from fragcache.keys import lease_key
from fragcache.page import now
from fragcache.store import Store

#: Seconds that a lease lives at least.
LEAST_LIFE: Final = 1.0
#: Times of a usual render that it lives.
RENDERS: Final = 3
#: Seconds for which nobody waits, after what was rendered could not be stored.
REFUSED_LIFE: Final = 1.0
#: Seconds for which the cache keeps one beyond its end, of which the lease itself tells: Memcached
#: counts whole seconds, and a waiter whose clock is slow must not find free what others took over.
_KEPT: Final = 1.0
_SECOND: Final = 1_000_000
_RENDERING: Final = b"rendering"
_REFUSED: Final = b"refused"


class State(Enum):
    """What is known of the right to render a key."""

    FREE = "free"
    TAKEN = "taken"
    #: Taken, and not given up in time: its holder was killed, or is slower than ever.
    ENDED = "ended"
    REFUSED = "refused"


class Lease(NamedTuple):
    """What is stored of a lease."""

    state: State
    #: Microseconds since 1970 UTC.
    taken_at: int = 0


def life_of(usual_seconds: float | None) -> float:
    """Return the seconds that a lease lives, for what usually takes so long to render."""
    return max(LEAST_LIFE, RENDERS * (usual_seconds or 0.0))


def take(
    cache: Store,
    keys: Iterable[str],
    seconds: float,
    ended: Mapping[str, Lease] = MappingProxyType({}),
) -> set[str]:
    """Take the leases that nobody holds, and of those that have ``ended``; return their keys.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    records = {key: _record(_RENDERING, seconds) for key in keys}
    # Of those who find one ended, who adds a note that says so overwrites it.
    noted = {_note_of(cache, key, ended[key]) if key in ended else key: key for key in records}
    lost = cache.add_many({note: records[key] for note, key in noted.items()}, seconds + _KEPT)
    taken = {key for note, key in noted.items() if note not in lost}
    cache.write_many({key: records[key] for key in taken & ended.keys()}, seconds + _KEPT)
    return taken


def end(cache: Store, stored: Iterable[str], refused: Iterable[str]) -> None:
    """Give up leases; of those that are ``refused`` nobody is to wait for an entry.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    cache.write_many({key: _record(_REFUSED, REFUSED_LIFE) for key in refused}, REFUSED_LIFE)
    if gone := list(stored):
        cache.delete_many(gone)


def lease_of(found: Mapping[str, Entry], key: str) -> Lease:
    """Return what is known of a lease, among the entries that were read."""
    record = found.get(key)
    if record is None or record.kind != Kind.LOCK:
        return Lease(State.FREE)
    if record.payload == _REFUSED:
        state = State.REFUSED
    elif record.fresh_until > now():
        state = State.TAKEN
    else:
        state = State.ENDED
    return Lease(state, record.built_at)


def _note_of(cache: Store, key: str, ended: Lease) -> str:
    return lease_key(key, str(ended.taken_at), cache.room)


def _record(payload: bytes, seconds: float) -> Entry:
    moment = now()
    until = moment + int(seconds * _SECOND)
    return Entry(Kind.LOCK, payload, as_of=moment, built_at=moment, fresh_until=until)
