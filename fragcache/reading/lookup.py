"""What is held of the instances a page wants, and what has to be rendered.

Entries are found by their version, which the page knows; without one, by the head, which costs a
second round trip. Tokens ride along: an entry is current only under the tokens in its header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from fragcache import transactions, versions
from fragcache.bubbling import note_unstorable
from fragcache.counters import Event, count
from fragcache.keys import head_key
from fragcache.page import Page, Wanted
from fragcache.reading.batch import Batch
from fragcache.reading.entries import Found, find, held
from fragcache.reading.fetching import fetch, known_tokens
from fragcache.records import Head
from fragcache.slots import Slot
from fragcache.versions import Version


@dataclass(slots=True)
class Lookup:
    """What was found, by position."""

    #: None for what is not there, or due.
    html: list[SafeString | None]
    #: Where what is due will lie. Positions of one instance share a slot, which carries its tokens
    #: if it may be stored.
    due: dict[int, Slot] = field(default_factory=dict)


def look_up(batch: Batch, page: Page) -> Lookup:
    """Return what is held or fetched; where the cache is unavailable, everything is due."""
    if not batch.fragment.is_local:
        return _served_as_stale(batch, *_by_head(batch, page))
    if not batch.fragment.is_versioned:
        heads, found = _by_head(batch, page)
        slots = {n: batch.slot(n) for n, html in enumerate(found.html) if html is None}
        for position, slot in slots.items():
            slot.head = heads[position]
        return _due(batch, found, slots, page)
    return _by_version(batch, page)


def _by_version(batch: Batch, page: Page) -> Lookup:
    if (html := held(batch, page)) is not None:
        count(Event.HIT, batch.fragment.name, len(html))
        return Lookup([*html])
    known: dict[int, Version | None] = {}
    if batch.rows is not None:
        keys: Sequence[str | None] = batch.rows.keys(batch.cache.room)
    else:
        known = _versions(batch, range(len(batch.items)), page)
        count(Event.ABSENT, batch.fragment.name, sum(v is None for v in known.values()))
        keys = batch.entry_keys([None if v is None else v.encoded for v in known.values()])
    found = find(batch, page, keys)
    if None not in found.html:
        count(Event.HIT, batch.fragment.name, len(found.html))
        return Lookup(found.html)
    positions = [
        position
        for position, (key, html) in enumerate(zip(keys, found.html, strict=True))
        if html is None and key is not None
    ]
    known = known or _versions(batch, positions, page)
    slots = {position: batch.slot(position, known[position]) for position in positions}
    return _due(batch, found, slots, page)


def _versions(batch: Batch, positions: Sequence[int], page: Page) -> dict[int, Version | None]:
    """Return the versions of instances, None where there is no row."""
    instances = [batch.instance(position) for position in positions]
    found = versions.of_instances(batch.fragment, instances, page)
    return dict(zip(positions, found, strict=True))


def _by_head(batch: Batch, page: Page) -> tuple[list[Head | None], Found]:
    keys = [
        head_key(batch.base(position), batch.digest, batch.cache.room)
        for position in range(len(batch.arguments))
    ]
    records = page.memory(batch.cache.alias).heads
    names = batch.distinct_token_names()
    if known_tokens(batch.cache, page, names) is None or not records.keys() >= set(keys):
        wanted = Wanted(heads=dict.fromkeys(keys), names=names)
        if fetch(batch.cache, page, wanted) is None:
            nothing: list[None] = [None] * len(keys)
            return [*nothing], Found([*nothing], [*nothing], None)
    heads = [
        None if (record := records[key]) is None else Head.unpack(record.payload) for key in keys
    ]
    return heads, find(
        batch,
        page,
        [
            None if head is None or head.is_tombstone else batch.entry_key(position, head.suffix)
            for position, head in enumerate(heads)
        ],
    )


def _due(batch: Batch, found: Found, slots: dict[int, Slot], page: Page) -> Lookup:
    """Return the lookup in which ``slots`` are due, with tokens where they may be stored."""
    awaited = transactions.awaited()
    due: dict[str, Slot] = {}
    for position, slot in slots.items():
        if slot.base in due:
            continue
        due[slot.base] = slot
        names = batch.token_names(position)
        if found.tokens and awaited.isdisjoint(names) and found.tokens.allow_storing(names, page):
            slot.tokens = found.tokens.pair(*names)
    name = batch.fragment.name
    stale = sum(_is_stale(batch, found, position) for position in slots)
    count(Event.HIT, name, len(found.html) - found.html.count(None))
    count(Event.STALE, name, stale)
    count(Event.MISSING, name, len(slots) - stale)
    return Lookup(found.html, {position: due[slot.base] for position, slot in slots.items()})


def _served_as_stale(batch: Batch, _heads: Sequence[Head | None], found: Found) -> Lookup:
    """Return what a target shows: what is stale too, unless it was purged."""
    name = batch.fragment.name
    count(Event.HIT, name, len(found.html) - found.html.count(None))
    for position, html in enumerate(found.html):
        copy = found.copies[position]
        if html is None and copy is not None and _is_stale(batch, found, position):
            found.html[position] = copy.html
            note_unstorable()
            count(Event.STALE_SERVED, name)
    count(Event.MISSING, name, found.html.count(None))
    return Lookup(found.html)


def _is_stale(batch: Batch, found: Found, position: int) -> bool:
    """Whether there is an entry, and no purge forbids to serve it."""
    copy = found.copies[position]
    if copy is None or found.tokens is None:
        return copy is not None
    return not found.tokens.have_purged(copy.tokens, batch.token_names(position))
