"""What is stored of instances: the entries that pages would show now, read and never written."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from fragcache import token_copies, tokens
from fragcache.declarations import Fragment
from fragcache.dependencies import unpack
from fragcache.entry import Entry, Field, Kind
from fragcache.keys import entry_key, head_key
from fragcache.page import now, outside
from fragcache.reading.standing import unchanged
from fragcache.records import Head
from fragcache.slots import Slot, includes_are_current, token_names
from fragcache.store import Store
from fragcache.verifying.texts import text_of_entry


class State(Enum):
    """Of an instance, as pages find it."""

    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"


class Stored(NamedTuple):
    """What the cache holds of one instance."""

    state: State
    #: With its holes named; or a context as JSON.
    html: str = ""
    key: str = ""
    #: Microseconds since 1970.
    built_at: int = 0
    #: Whether something that it shows has no version, and may be older than its data.
    may_be_late: bool = False


def read(fragment: Fragment, cache: Store, slots: Sequence[Slot]) -> list[Stored]:
    """Return what is stored of instances with their versions, by one round trip or two.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    room = cache.room
    head_keys = [head_key(slot.base, slot.digest, room) for slot in slots]
    names = [token_names(fragment, slot.instance.encoded) for slot in slots]
    token_keys = token_copies.keys_of(cache, dict.fromkeys(itertools.chain.from_iterable(names)))
    own = [entry_key(slot.base, slot.suffix, room) for slot in slots if slot.version]
    began = time.monotonic()
    fetched = cache.fetch_many(
        [*head_keys, *own, *itertools.chain.from_iterable(token_keys.values())]
    )
    found = cache.open_many(fetched)
    settled = tokens.settle(cache, token_keys, fetched, found, began, may_write=False)
    keys = [
        _entry_key(slot, found.get(key), room) for slot, key in zip(slots, head_keys, strict=True)
    ]
    if not fragment.is_versioned:
        found |= cache.read_many(key for key in keys if key)
    entries = {key: found[key] for key in keys if key is not None and key in found}
    changed = entries.keys() - unchanged(entries, outside(), may_write=False).keys()
    return [
        Stored(State.STALE)
        if key in changed
        else _stored(
            cache, key, found, settled.pair(*own_names), fragment.entry_kind, has_head=head in found
        )
        for key, head, own_names in zip(keys, head_keys, names, strict=True)
    ]


def _entry_key(slot: Slot, head: Entry | None, room: int) -> str | None:
    """Return the key of the version, or of what the head names where there is none."""
    if slot.version is not None:
        return entry_key(slot.base, slot.suffix, room)
    if head is None or head.kind != Kind.HEAD:
        return None
    named = Head.unpack(head.payload)
    return None if named.is_tombstone else entry_key(slot.base, named.suffix, room)


def _stored(
    cache: Store,
    key: str | None,
    found: Mapping[str, Entry],
    pair: bytes | None,
    kind: Kind,
    *,
    has_head: bool,
) -> Stored:
    entry = None if key is None else found.get(key)
    if key is None or entry is None or entry.kind != kind:
        return Stored(State.STALE if has_head else State.MISSING)
    is_current = (
        entry.tokens == pair
        and includes_are_current(entry.field(Field.INCLUDES))
        and not 0 < entry.fresh_until < now()
    )
    state = State.CURRENT if is_current else State.STALE
    shown = unpack(entry.field(Field.DEPENDENCIES))
    return Stored(
        state,
        text_of_entry(entry),
        cache.physical_key(key),
        entry.built_at,
        any(not one.instances for one in shown),
    )
