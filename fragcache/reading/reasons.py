"""Reasons: why an instance is missed, by what is known of it then; nothing is asked for this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from fragcache.entry import Entry, Kind
from fragcache.events import Event, Miss
from fragcache.keys import entry_key, head_key, manifest_key
from fragcache.local import Kept
from fragcache.page import Memory, Page, now
from fragcache.reading.batch import Batch
from fragcache.reading.entries import Found
from fragcache.reading.traces import axes_of, seen, trace_of
from fragcache.records import Head, token_moments, unpack_document
from fragcache.slots import Slot, includes_are_current

VAGUE: Final = frozenset({Miss.MISSING, Miss.COLD})
_UNBELIEVED: Final[Mapping[str, Miss]] = {
    Event.UNKNOWN_KEY: Miss.UNKNOWN_KEY,
    Event.UNBELIEVED: Miss.UNVERIFIABLE,
}


def reason_of(batch: Batch, found: Found, position: int, slot: Slot, page: Page) -> Miss:
    """Return why the instance of a position is not fresh, ``MISSING`` where that is not known."""
    if found.tokens is None:
        return Miss.GUARD
    pair = found.tokens.pair(*batch.token_names(position))
    copy = found.copies[position]
    if copy is not None:
        return _of_entry(batch, copy, pair)
    memory = page.memory(batch.cache.space)
    is_by_head = slot.version is None
    head = head_key(slot.base, slot.digest, batch.cache.room)
    key = head if is_by_head else entry_key(slot.base, slot.suffix, batch.cache.room)
    if key in memory.unbelieved:
        return _UNBELIEVED[memory.unbelieved[key]]
    if is_by_head and (record := memory.heads.get(head)) is not None:
        return _of_head(slot, record, memory, batch)
    # Without a token no entry was ever stored; or the cache was cleared.
    is_empty = pair is None or token_moments(pair)[0] >= page.began_at
    return _of_trace(batch, slot, position) or (
        Miss.COLD if is_by_head or is_empty else Miss.MISSING
    )


def keys_that_tell(batch: Batch, slots: Iterable[Slot]) -> list[str]:
    """Return what to read in order to say better why slots are due; empty where nothing tells."""
    unknown = [slot for slot in slots if slot.why in VAGUE]
    if not (unknown and batch.fragment.is_warmable):
        return []
    room = batch.cache.room
    heads = [head_key(slot.base, slot.digest, room) for slot in unknown if slot.version is not None]
    return [*heads, manifest_key(batch.fragment.name, room)]


def refine(batch: Batch, slot: Slot, found: Mapping[str, Entry]) -> None:
    """Say better why a slot is due, if a head or the manifest was read that tells."""
    if slot.why not in VAGUE:
        return
    record = found.get(head_key(slot.base, slot.digest, batch.cache.room))
    if record is not None and record.kind == Kind.HEAD:
        named = Head.unpack(record.payload)
        if slot.version is not None and not named.is_tombstone and named.suffix != slot.suffix:
            slot.why = Miss.NEW_VERSION
        elif slot.version is not None and not named.is_tombstone:
            slot.why = Miss.EVICTED
        return
    manifest = found.get(manifest_key(batch.fragment.name, batch.cache.room))
    if manifest is None or manifest.kind != Kind.MANIFEST:
        return
    is_same = unpack_document(manifest.payload).get("digest") == slot.digest
    slot.why = Miss.COLD if is_same else Miss.NEW_DIGEST


def _of_entry(batch: Batch, copy: Kept, pair: bytes | None) -> Miss:
    """Return why an entry that is there is not fresh."""
    if copy.tokens != pair:
        return Miss.INVALIDATED
    if 0 < copy.fresh_until < now():
        return Miss.EXPIRED
    conditions = copy.conditions
    if batch.fragment.is_local and conditions and not includes_are_current(conditions.includes):
        return Miss.NEW_DIGEST
    return Miss.INNER if conditions and conditions.dependencies else Miss.INVALIDATED


def _of_head(slot: Slot, record: Entry, memory: Memory, batch: Batch) -> Miss:
    """Return why the entry that a head names is not there."""
    head = Head.unpack(record.payload)
    named = entry_key(slot.base, head.suffix, batch.cache.room)
    if named in memory.unbelieved:
        return _UNBELIEVED[memory.unbelieved[named]]
    if head.is_tombstone:
        return Miss.INVALIDATED
    return Miss.EXPIRED if 0 < record.fresh_until < now() else Miss.EVICTED


def _of_trace(batch: Batch, slot: Slot, position: int) -> Miss | None:
    """Return what this process knows, since it has stored or fetched the instance itself."""
    trace = trace_of(batch, slot)
    version = seen(batch, position)
    if version is not None and slot.version is not None and version != slot.version.encoded:
        return Miss.NEW_VERSION
    if version is not None and trace is None:
        return Miss.EVICTED
    if trace is None:
        axes = axes_of(batch, slot)
        return None if axes in {None, batch.axes} else Miss.NEW_AXIS_VALUE
    if not trace.is_stored:
        return Miss.REFUSED
    if trace.digest != slot.digest:
        return Miss.NEW_DIGEST
    if slot.version is not None and trace.version != slot.version.encoded:
        return Miss.NEW_VERSION
    return Miss.EXPIRED if 0 < trace.until < now() else Miss.EVICTED
