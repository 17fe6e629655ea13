"""What is due: two tiny commands per instance tell, and no entry travels."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from fragcache import tokens
from fragcache.declarations import Fragment
from fragcache.entry import Entry, Field, Kind
from fragcache.keys import entry_key, head_key
from fragcache.page import now
from fragcache.records import Head
from fragcache.slots import Slot, includes_are_current, token_names
from fragcache.store import Store

#: Entries are rebuilt over this last part of their max_age, so that they do not all end at once.
SPREAD: Final = 0.2
_SECOND: Final = 1_000_000


class Rank(IntEnum):
    """In which state an instance is; what is worth most to its readers comes first."""

    MISSING = 0
    STALE = 1
    FRESH = 2


def ranked(
    fragment: Fragment, cache: Store, slots: Sequence[Slot], *, force: bool, dry: bool
) -> dict[Rank, list[Slot]]:
    """Return the slots by the state of their instances; the lives of fresh entries are extended.

    One multi-get of heads and tokens, which are read before the data that will be stored under
    them; one touch of the entries that the heads name, which answers what was evicted. With
    ``force``, where all are rendered, nothing is touched, and what was evicted is not told.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    heads = _read_heads(fragment, cache, slots, dry=dry)
    kept = {
        entry_key(slot.base, slot.head.suffix, cache.room): slot
        for slot, head in heads
        if slot.head is not None and _is_current(fragment, cache, slot, head)
    }
    evicted = set() if force else _missing(cache, list(kept), fragment.life, dry=dry)
    current = {id(slot): key not in evicted for key, slot in kept.items()}
    found: dict[Rank, list[Slot]] = {rank: [] for rank in Rank}
    for slot in slots:
        is_there = current.get(id(slot))
        if is_there:
            rank = Rank.FRESH
        else:
            rank = Rank.MISSING if slot.head is None or is_there is False else Rank.STALE
        found[rank].append(slot)
    return found


def _read_heads(
    fragment: Fragment, cache: Store, slots: Sequence[Slot], *, dry: bool
) -> list[tuple[Slot, Entry]]:
    """Give slots their tokens and stored heads; return those whose head is believed."""
    head_keys = {slot.base: head_key(slot.base, slot.digest, cache.room) for slot in slots}
    names = [name for slot in slots for name in token_names(fragment, slot.instance.encoded)]
    token_keys = tokens.keys_of(cache, dict.fromkeys(names))
    wanted = [*head_keys.values(), *(key for copies in token_keys.values() for key in copies)]
    began = time.monotonic()
    stored = cache.fetch_many(wanted)
    found = cache.open_many(stored)
    settled = tokens.settle(cache, token_keys, stored, found, began, may_write=not dry)
    heads = []
    for slot in slots:
        key = head_keys[slot.base]
        slot.tokens = settled.pair(*token_names(fragment, slot.instance.encoded))
        slot.head_bytes = stored.get(key)
        head = found.get(key)
        if head is not None and head.kind == Kind.HEAD:
            slot.head = Head.unpack(head.payload)
            heads.append((slot, head))
    return heads


def _is_current(fragment: Fragment, cache: Store, slot: Slot, head: Entry) -> bool:
    assert slot.head is not None
    assert slot.head_bytes is not None
    return (
        (slot.version is None or slot.head.suffix == slot.suffix)
        and not slot.head.is_tombstone
        and head.tokens == slot.tokens
        and cache.seals_like(slot.head_bytes)
        and includes_are_current(head.field(Field.INCLUDES))
        and not _is_old(fragment, slot, head)
    )


def _is_old(fragment: Fragment, slot: Slot, head: Entry) -> bool:
    max_age = fragment.effective_max_age
    if max_age is None:
        return False
    # What every run renders has no need of spreading.
    part = zlib.crc32(slot.base.encode()) / 2**32 if fragment.is_versioned else 0
    return now() - head.built_at > max_age * (1 - SPREAD * part) * _SECOND


def _missing(cache: Store, keys: list[str], life: float | None, *, dry: bool) -> set[str]:
    if dry:
        return set(keys) - cache.fetch_many(keys).keys()
    return cache.touch_many(keys, life)
