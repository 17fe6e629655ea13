"""Leases: the right to render one key, held by one process for a bounded time.

After Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013). A lease saves work and decides
nothing: who loses it, or never gets one, may render as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from fragcache.entry import Entry, Kind
from fragcache.page import now
from fragcache.store import Store

#: Seconds that a lease lives at least.
LEAST_LIFE: Final = 1.0
#: Times of a usual render that it lives.
RENDERS: Final = 3
#: Seconds for which nobody waits, after what was rendered could not be stored.
REFUSED_LIFE: Final = 1.0
_RENDERING: Final = b"rendering"
_REFUSED: Final = b"refused"


class State(Enum):
    """What is known of the right to render a key."""

    FREE = "free"
    TAKEN = "taken"
    REFUSED = "refused"


def life_of(usual_seconds: float | None) -> float:
    """Return the seconds that a lease lives, for what usually takes so long to render."""
    return max(LEAST_LIFE, RENDERS * (usual_seconds or 0.0))


def take(cache: Store, keys: Iterable[str], seconds: float) -> set[str]:
    """Take the leases that nobody holds; return their keys.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    wanted = {key: _record(_RENDERING) for key in keys}
    return wanted.keys() - cache.add_many(wanted, seconds)


def end(cache: Store, stored: Iterable[str], refused: Iterable[str]) -> None:
    """Give up leases; of those that are ``refused`` nobody is to wait for an entry.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    cache.write_many({key: _record(_REFUSED) for key in refused}, REFUSED_LIFE)
    if gone := list(stored):
        cache.delete_many(gone)


def state(found: Mapping[str, Entry], key: str) -> State:
    """Return the state of a lease, among the entries that were read."""
    record = found.get(key)
    if record is None or record.kind != Kind.LOCK:
        return State.FREE
    return State.REFUSED if record.payload == _REFUSED else State.TAKEN


def _record(payload: bytes) -> Entry:
    moment = now()
    return Entry(Kind.LOCK, payload, as_of=moment, built_at=moment)
