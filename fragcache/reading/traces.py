"""Traces: what this process has stored or fetched lately; they tell why an instance is missed.

Of what was fetched only rows leave one, and only where the process keeps copies: the cost of others
would be that of every page.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final, NamedTuple

from fragcache.bounded import Bounded
from fragcache.keys import encode_version
from fragcache.page import now
from fragcache.reading.batch import Batch
from fragcache.slots import Slot

#: How many a process keeps, two for each instance; each takes some 250 bytes.
_KEPT: Final = 20_000
_SECOND: Final = 1_000_000

#: The versions of rows that were fetched, by cache, shelf (which tells axes and digest) and key.
_seen: Final[Bounded[Any]] = Bounded(_KEPT, size_of=lambda _version: 1)


class Trace(NamedTuple):
    """What was stored last of one instance under one set of axis values."""

    version: str
    digest: str
    is_stored: bool
    #: Until when it lives in the cache, in microseconds since 1970 UTC; 0 for ever.
    until: int


_traces: Final[Bounded[Trace]] = Bounded(_KEPT, size_of=lambda _trace: 1)
#: The axis values under which an instance was stored last.
_axes: Final[Bounded[str]] = Bounded(_KEPT, size_of=lambda _axes: 1)


def see(batch: Batch) -> None:
    """Note the versions of rows whose entries the page has fetched."""
    if batch.rows is not None:
        space, shelf = batch.cache.space, batch.rows.shelf
        _seen.keep({(space, shelf, pk): version for pk, version in batch.rows.identities})


def seen(batch: Batch, position: int) -> str | None:
    """Return the version under which a row's entry was fetched last, if it was."""
    if batch.rows is None:
        return None
    pk, _version = batch.rows.identities[position]
    version = _seen.get_many([(batch.cache.space, batch.rows.shelf, pk)])[0]
    return None if version is None else encode_version(version)


def leave(batch: Batch, slots: Iterable[Slot]) -> None:
    """Note what became of rendered slots."""
    life = batch.fragment.life
    until = 0 if life is None else now() + int(life * _SECOND)
    left: dict[Hashable, Trace] = {}
    axes: dict[Hashable, str] = {}
    for slot in slots:
        version = "" if slot.version is None else slot.version.encoded
        left[_of_base(batch, slot)] = Trace(version, slot.digest, slot.is_stored, until)
        if slot.is_stored:
            axes[_of_instance(batch, slot)] = batch.axes
    _traces.keep(left)
    _axes.keep(axes)


def trace_of(batch: Batch, slot: Slot) -> Trace | None:
    """Return what this process has stored last in the place of a slot."""
    return _traces.get_many([_of_base(batch, slot)])[0]


def axes_of(batch: Batch, slot: Slot) -> str | None:
    """Return under which axis values this process has stored the instance last, if at all."""
    return _axes.get_many([_of_instance(batch, slot)])[0]


def forget() -> None:
    """Forget all."""
    _traces.clear()
    _axes.clear()
    _seen.clear()


# By hashes, since keys are long: two that meet make one reason wrong.
def _of_base(batch: Batch, slot: Slot) -> int:
    return hash((batch.cache.space, slot.base))


def _of_instance(batch: Batch, slot: Slot) -> int:
    return hash((batch.cache.space, batch.fragment.name, slot.instance.encoded))
