"""What is stored by now: a look that remembers nothing, for who waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fragcache import leases
from fragcache.entry import Entry, Field, Kind
from fragcache.guard import reading
from fragcache.holed import html_of
from fragcache.keys import entry_key, head_key
from fragcache.leases import Lease
from fragcache.page import Page, now
from fragcache.reading.batch import Batch
from fragcache.reading.reasons import keys_that_tell, refine
from fragcache.reading.standing import unchanged
from fragcache.records import Head
from fragcache.slots import Slot, includes_are_current


class Stored(NamedTuple):
    """What a look found."""

    #: The HTML of fresh entries, by base.
    html: dict[str, str]
    #: Those that were asked for, by name.
    leases: dict[str, Lease]


def look(
    batch: Batch,
    slots: Sequence[Slot],
    names: Iterable[str],
    page: Page,
    *,
    asks_why: bool = False,
) -> Stored | None:
    """Return what is fresh of the slots' entries, and the leases of these names.

    None where the cache does not answer. ``asks_why``: what tells why a slot is due comes along.
    """
    leased = list(names)
    telling = keys_that_tell(batch, slots) if asks_why else []
    stored = reading(batch.cache, None, _read, batch, slots, [*leased, *telling])
    if stored is None:
        return None
    keys, found = stored
    if telling:
        for slot in slots:
            refine(batch, slot, found)
    fresh = {
        slot.base: found[key]
        for slot in slots
        if (key := keys.get(slot.base)) in found and _is_fresh(found[key], slot)
    }
    html: dict[str, str] = {base: html_of(entry) for base, entry in unchanged(fresh, page).items()}
    return Stored(html, {name: leases.lease_of(found, name) for name in leased})


def _read(
    batch: Batch, slots: Sequence[Slot], others: Sequence[str]
) -> tuple[dict[str, str], dict[str, Entry]]:
    """Return the keys of the entries by base, and what is under these and the other keys."""
    cache = batch.cache
    keys = {slot.base: _first_key(batch, slot) for slot in slots}
    found = cache.read_many([*keys.values(), *others])
    if not batch.fragment.is_versioned:
        keys = _named_by_heads(batch, keys, found)
        found |= cache.read_many(keys.values())
    return keys, found


def _first_key(batch: Batch, slot: Slot) -> str:
    """Return the key of the entry, or of the head that names it."""
    if batch.fragment.is_versioned:
        return entry_key(slot.base, slot.suffix, batch.cache.room)
    return head_key(slot.base, slot.digest, batch.cache.room)


def _named_by_heads(
    batch: Batch, keys: Mapping[str, str], found: Mapping[str, Entry]
) -> dict[str, str]:
    return {
        base: entry_key(base, Head.unpack(found[key].payload).suffix, batch.cache.room)
        for base, key in keys.items()
        if key in found and found[key].kind == Kind.HEAD
    }


def _is_fresh(entry: Entry, slot: Slot) -> bool:
    return (
        entry.kind == Kind.HTML
        and entry.tokens == (slot.tokens or slot.current)
        and (not entry.fresh_until or now() <= entry.fresh_until)
        and includes_are_current(entry.field(Field.INCLUDES))
    )
