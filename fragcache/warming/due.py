"""What is due: two tiny commands per instance tell, and no entry travels."""

from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

from fragcache import page, token_copies, tokens
from fragcache.declarations import Fragment
from fragcache.entry import Entry, Field, Kind
from fragcache.keys import entry_key, head_key, suffix
from fragcache.page import now
from fragcache.reading.standing import standings
from fragcache.records import Head
from fragcache.slots import Slot, includes_are_current, token_names
from fragcache.store import Store
from fragcache.token_memory import TokenName
from fragcache.tokens import Tokens
from fragcache.warming.listing import Listing

#: Entries are rebuilt over this last part of their max_age, so that they do not all end at once.
SPREAD: Final = 0.2
_SECOND: Final = 1_000_000


class Rank(IntEnum):
    """In which state an instance is; what is worth most to its readers comes first."""

    MISSING = 0
    STALE = 1
    FRESH = 2


def ranked(
    fragment: Fragment,
    cache: Store,
    slots: Sequence[Slot],
    *,
    force: bool,
    dry: bool,
    listing: Listing | None = None,
) -> dict[Rank, list[Slot]]:
    """Return the slots by the state of their instances; the lives of fresh entries are extended.

    One multi-get of heads and tokens, which are read before the data that will be stored under
    them; one touch of the entries that the heads name, which answers what was evicted. With
    ``force``, where all are rendered, nothing is touched, and what was evicted is not told.

    Where items were read before the tokens were, in ``listing``, slots that may not be stored
    under theirs are left without; ``current`` holds them.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    heads, settled = _read_heads(fragment, cache, slots, dry=dry)
    found = _ranked(fragment, cache, slots, heads, force=force, dry=dry)
    if listing is not None and not dry:
        due = slots if force else [*found[Rank.MISSING], *found[Rank.STALE]]
        listing.withhold(fragment, due, settled)
    return found


def _ranked(
    fragment: Fragment,
    cache: Store,
    slots: Sequence[Slot],
    heads: Sequence[tuple[Slot, Head, Entry]],
    *,
    force: bool,
    dry: bool,
) -> dict[Rank, list[Slot]]:
    kept = _current(fragment, cache, heads, dry=dry)
    evicted = set() if force else _missing(cache, list(kept), fragment.life, dry=dry)
    if len(kept) == len(slots) and not evicted:  # optimisation: most batches
        return {Rank.MISSING: [], Rank.STALE: [], Rank.FRESH: list(slots)}
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
) -> tuple[list[tuple[Slot, Head, Entry]], Tokens]:
    """Give slots their tokens and stored heads; return the heads that are believed, and tokens."""
    room = cache.room
    head_keys = [head_key(slot.base, slot.digest, room) for slot in slots]
    names = _token_names(fragment, slots)
    token_keys = token_copies.keys_of(cache, dict.fromkeys(itertools.chain.from_iterable(names)))
    wanted = [*head_keys, *itertools.chain.from_iterable(token_keys.values())]
    began = time.monotonic()
    stored = cache.fetch_many(wanted)
    found = cache.open_many(stored)
    settled = tokens.settle(cache, token_keys, stored, found, began, may_write=not dry)
    heads = []
    for slot, key, pair in zip(slots, head_keys, settled.pairs(names), strict=True):
        slot.tokens = pair
        slot.head_bytes = stored.get(key)
        head = found.get(key)
        if head is not None and head.kind == Kind.HEAD:
            slot.head = Head.unpack(head.payload)
            heads.append((slot, slot.head, head))
    return heads, settled


def _token_names(fragment: Fragment, slots: Sequence[Slot]) -> list[tuple[TokenName, ...]]:
    if fragment.is_stamped:
        return [token_names(fragment, slot.instance.encoded) for slot in slots]
    # Optimisation: one tuple for all, which `Tokens.pairs` has to look at once only.
    return [token_names(fragment, "")] * len(slots)


def _current(
    fragment: Fragment,
    cache: Store,
    heads: Sequence[tuple[Slot, Head, Entry]],
    *,
    dry: bool,
) -> dict[str, Slot]:
    """Return the slots whose heads are current, by the keys of the entries that these name."""
    room, seals_like, is_old = cache.room, cache.seals_like, _is_old(fragment)
    changed, moment = _changed(heads, dry=dry), now()
    current = {}
    for slot, head, entry in heads:
        version = slot.version
        if (
            (version is None or head.suffix == suffix(version.encoded, slot.digest))
            and not head.is_tombstone
            and entry.tokens == slot.tokens
            and slot.head_bytes is not None
            and seals_like(slot.head_bytes)
            and (not entry.tagged or includes_are_current(entry.field(Field.INCLUDES)))
            and (not changed or entry.field(Field.DEPENDENCIES) not in changed)
            and not is_old(slot, entry.built_at)
            and not 0 < entry.fresh_until <= moment
        ):
            current[entry_key(slot.base, head.suffix, room)] = slot
    return current


def _changed(heads: Sequence[tuple[Slot, Head, Entry]], *, dry: bool) -> set[bytes | None]:
    """Return what heads say of inner instances that have changed."""
    shown = set()
    for slot, _head, entry in heads:
        inner = entry.field(Field.DEPENDENCIES) if entry.tagged else None
        if inner is not None:
            slot.is_nested = True
            shown.add(inner)
    if not shown:
        return set()
    standing = standings(shown, page.outside(), may_write=not dry)
    return {inner for inner in shown if not standing[inner].is_current}


def _is_old(fragment: Fragment) -> Callable[[Slot, int], bool]:
    """Return what tells of a slot, and when its entry was built, whether it is to be rebuilt."""
    max_age = fragment.effective_max_age
    if max_age is None:
        return lambda _slot, _built_at: False
    # What every run renders has no need of spreading.
    spread = SPREAD if fragment.is_versioned else 0
    moment, longest = now(), max_age * _SECOND
    shortest = longest * (1 - spread)

    def is_old(slot: Slot, built_at: int) -> bool:
        age = moment - built_at
        if age <= shortest:  # optimisation: most entries, whatever their share
            return False
        return age > longest * (1 - spread * zlib.crc32(slot.base.encode()) / 2**32)

    return is_old


def _missing(cache: Store, keys: list[str], life: float | None, *, dry: bool) -> set[str]:
    if dry:
        return set(keys) - cache.fetch_many(keys).keys()
    return cache.touch_many(keys, life)
