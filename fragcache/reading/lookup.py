"""What is held of the instances a page wants, and what has to be rendered.

Entries are found by their version, which the page knows; without one, by the head, which costs a
second round trip. Tokens ride along: an entry is current only under the tokens in its header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.safestring import SafeString

from fragcache import transactions, versions
from fragcache.bubbling import is_recording, note_unstorable
from fragcache.events import Event
from fragcache.keys import head_key
from fragcache.local import Kept
from fragcache.page import Page, Wanted
from fragcache.reading.batch import Batch
from fragcache.reading.early import about_to_end
from fragcache.reading.entries import Found, find, held, held_by_head, keep_by_head, token_pairs
from fragcache.reading.fetching import fetch, known_tokens
from fragcache.reading.noting import Inner
from fragcache.reading.outages import is_out_of_reach, out_of_reach
from fragcache.reading.pins import pin
from fragcache.reading.reasons import reason_of
from fragcache.reading.result import Lookup
from fragcache.reading.standing import standings
from fragcache.records import Head
from fragcache.slots import Slot
from fragcache.token_memory import TokenName
from fragcache.versions import Version


def look_up(batch: Batch, page: Page) -> Lookup:
    """Return what is held or fetched; where the cache is unavailable, everything is due."""
    if is_out_of_reach(batch, page):
        return out_of_reach(batch, page)
    if is_by_version(batch):
        return _by_version(batch, page)
    keys = head_keys(batch)
    may_hold = batch.fragment.is_local and page.memory(batch.cache.space).used is None
    if may_hold and not is_recording():
        copies = held_by_head(batch, page, keys)
        if copies is not None and not about_to_end(batch, page, copies):
            hits = len(copies)
            shown: list[SafeString | None] = [copy.html for copy in copies]
            return Lookup(shown, {Event.HIT: hits}, copies=copies, local=hits)
    heads, found = _by_head(batch, page, keys)
    if may_hold:
        keep_by_head(batch, keys, found)
    if not batch.fragment.is_local:
        lookup = _served_as_stale(batch, found, page)
        lookup.inner = _inner(batch, found, [head.suffix if head else None for head in heads])
        return lookup
    slots = {n: batch.slot(n) for n, html in enumerate(found.html) if html is None}
    for position, slot in slots.items():
        slot.head = heads[position]
    lookup = _due(batch, found, slots, page)
    lookup.ending = _ending(batch, found, heads, page)
    lookup.inner = _inner(batch, found, [None] * len(heads))
    return lookup


def wanted_by(batch: Batch, page: Page) -> Wanted:
    """Return what the lookup of a batch will ask the cache for first."""
    life = batch.fragment.life
    names = batch.distinct_token_names()
    if not is_by_version(batch):
        heads = {key: (batch.base(n), life) for n, key in enumerate(head_keys(batch))}
        return Wanted(heads=heads, names=names)
    keys, known = _keys(batch, page)
    prefetched = page.memory(batch.cache.space).versions
    prefetched |= {batch.base(position): version for position, version in known.items()}
    return Wanted(entries={key: life for key in keys if key is not None}, names=names)


def is_by_version(batch: Batch) -> bool:
    """Whether entries are found by their version, and not by the head."""
    return batch.fragment.is_local and batch.fragment.is_versioned


def _by_version(batch: Batch, page: Page) -> Lookup:
    memory = page.memory(batch.cache.space)
    if not is_recording() and (all_held := held(batch, page)) is not None:
        if memory.used is not None:
            memory.used.append((batch, ()))
        return _all_held(all_held)
    keys, known = _keys(batch, page)
    if memory.used is not None:
        memory.used.append((batch, keys))
    found = find(batch, page, keys)
    inner = _inner(batch, found, _encoded(batch, known)) if is_recording() else None
    absent = keys.count(None)
    if found.html.count(None) == absent:
        events = {Event.HIT: len(keys) - absent}
        if absent:
            events[Event.ABSENT] = absent
        return Lookup(found.html, events, inner=inner, copies=found.copies, local=found.local)
    positions = [
        position
        for position, (key, html) in enumerate(zip(keys, found.html, strict=True))
        if html is None and key is not None
    ]
    if batch.rows is not None:
        paths = batch.fragment.version_paths or ()
        known = {
            n: Version(
                batch.rows.version(n), page.began_at, versions.databases_of(batch.items[n], paths)
            )
            for n in positions
        }
    slots = {position: batch.slot(position, known[position]) for position in positions}
    lookup = _due(batch, found, slots, page)
    lookup.events[Event.ABSENT] = absent
    lookup.inner = inner
    return lookup


def _all_held(found: Found) -> Lookup:
    hits = found.local
    return Lookup(found.html, {Event.HIT: hits}, copies=found.copies, local=hits)


def _keys(batch: Batch, page: Page) -> tuple[Sequence[str | None], Mapping[int, Version | None]]:
    """Return the keys of the entries, and the versions where they were looked for."""
    if batch.rows is not None:
        return batch.rows.keys(batch.cache.room), {}
    known = _versions(batch, range(len(batch.items)), page)
    return batch.entry_keys(_encoded(batch, known)), known


def _encoded(batch: Batch, known: Mapping[int, Version | None]) -> list[str | None]:
    if batch.rows is not None:
        return [batch.rows.version(position) for position in range(len(batch.items))]
    return [None if version is None else version.encoded for version in known.values()]


def _inner(batch: Batch, found: Found, encoded: Sequence[str | None]) -> Inner | None:
    """Return what is found as a render that runs shows it; None where none does."""
    if not is_recording():
        return None
    unknown: list[bytes | None] = [None] * len(encoded)
    pairs = unknown if found.tokens is None else token_pairs(batch, found.tokens)
    fresh = [
        None if html is None else copy for html, copy in zip(found.html, found.copies, strict=True)
    ]
    return Inner(pairs, encoded, fresh)


def _versions(batch: Batch, positions: Sequence[int], page: Page) -> dict[int, Version | None]:
    """Return the versions of instances, None where there is no row.

    What was prefetched keeps the version that it was prefetched under.
    """
    prefetched = page.memory(batch.cache.space).versions
    found: dict[int, Version | None] = dict.fromkeys(positions)
    unknown = []
    for position in positions:
        if prefetched and (base := batch.base(position)) in prefetched:
            found[position] = prefetched[base]
        else:
            unknown.append(position)
    instances = [batch.instance(position) for position in unknown]
    queried = versions.of_instances(batch.fragment, instances, page) if unknown else []
    found.update(zip(unknown, queried, strict=True))
    return found


def head_keys(batch: Batch) -> list[str]:
    """Return the keys of the heads of all instances."""
    digest, room = batch.digest, batch.cache.room
    return [head_key(batch.base(n), digest, room) for n in range(len(batch.items))]


def _by_head(batch: Batch, page: Page, of_heads: Sequence[str]) -> tuple[list[Head | None], Found]:
    memory = page.memory(batch.cache.space)
    pin(batch, page, of_heads)
    names = batch.distinct_token_names()
    records = memory.heads
    is_known = known_tokens(batch.cache, page, names) is not None
    is_held = is_known and records.keys() >= set(of_heads)
    if not is_held and fetch(batch.cache, page, wanted_by(batch, page)) is None:
        nothing: list[None] = [None] * len(of_heads)
        return [*nothing], Found([*nothing], [*nothing], None)
    heads = [
        None if (record := records[key]) is None else Head.unpack(record.payload)
        for key in of_heads
    ]
    keys = [
        None if head is None or head.is_tombstone else batch.entry_key(position, head.suffix)
        for position, head in enumerate(heads)
    ]
    if memory.used is not None:
        memory.used.append((batch, keys))
    return heads, find(batch, page, keys)


def _due(batch: Batch, found: Found, slots: dict[int, Slot], page: Page) -> Lookup:
    """Return the lookup in which ``slots`` are due, with tokens where they may be stored."""
    due: dict[str, Slot] = {}
    pairs: dict[tuple[TokenName, ...], bytes | None] = {}
    for position, slot in slots.items():
        if slot.base in due:
            continue
        due[slot.base] = slot
        slot.is_cut_off = found.tokens is None
        names = batch.token_names(position)
        if names not in pairs:
            pairs[names] = _tokens_to_store_under(found, names, page)
        slot.tokens = pairs[names]
        slot.why = reason_of(batch, found, position, slot, page)
    stale = sum(_is_stale(batch, found, position) for position in slots)
    events = {
        Event.HIT: len(found.html) - found.html.count(None),
        Event.STALE: stale,
        Event.MISSING: len(slots) - stale,
    }
    return Lookup(
        found.html,
        events,
        {position: due[slot.base] for position, slot in slots.items()},
        copies=found.copies,
        local=found.local,
    )


def _ending(batch: Batch, found: Found, heads: Sequence[Head | None], page: Page) -> list[Slot]:
    """Return the slots of what is fresh and about to end, with tokens where they may be stored."""
    ending = []
    for position in about_to_end(batch, page, found.copies):
        slot = batch.slot(position)
        slot.head = heads[position]
        slot.tokens = _tokens_to_store_under(found, batch.token_names(position), page)
        if found.html[position] is not None and slot.tokens:
            ending.append(slot)
    return ending


def _tokens_to_store_under(found: Found, names: tuple[TokenName, ...], page: Page) -> bytes | None:
    if found.tokens is None or not transactions.awaited().isdisjoint(names):
        return None
    return found.tokens.pair(*names) if found.tokens.allow_storing(names, page) else None


def _served_as_stale(batch: Batch, found: Found, page: Page) -> Lookup:
    """Return what a target shows: what is stale too, unless it was purged."""
    html = found.html
    hits = len(html) - html.count(None)
    stale = []
    slots = [(n, batch.slot(n)) for n, shown in enumerate(html) if shown is None]
    reasons = {n: reason_of(batch, found, n, slot, page) for n, slot in slots}
    for position, copy in enumerate(found.copies):
        if html[position] is not None or copy is None or not _is_stale(batch, found, position):
            continue
        if not _shows_purged(batch, copy, page):
            html[position] = copy.html
            stale.append(position)
    if stale:
        note_unstorable()
    events = {Event.HIT: hits, Event.STALE_SERVED: len(stale), Event.MISSING: html.count(None)}
    return Lookup(
        html, events, copies=found.copies, local=found.local, reasons=reasons, stale=stale
    )


def _shows_purged(batch: Batch, copy: Kept, page: Page) -> bool:
    shown = copy.conditions and copy.conditions.dependencies
    if not shown:
        return False
    return standings([shown], page, source=batch.cache)[shown].is_purged


def _is_stale(batch: Batch, found: Found, position: int) -> bool:
    """Whether there is an entry, and no purge forbids to serve it."""
    copy = found.copies[position]
    if copy is None or found.tokens is None:
        return copy is not None
    return not found.tokens.have_purged(copy.tokens, batch.token_names(position))
