"""Stale entries: what stands in for an instance that is due, so that nobody waits (RFC 5861).

Stale is an entry of an older version, of older code, or past its time; one that was invalidated is
none. On a page that shows an atomic set one of another version is none either: it may be of another
generation.
"""

from __future__ import annotations

from collections.abc import Sequence

from fragcache import manifest
from fragcache.entry import Entry, Field, Kind
from fragcache.events import Miss
from fragcache.guard import reading
from fragcache.holed import html_of
from fragcache.keys import entry_key, head_key
from fragcache.page import Page, now
from fragcache.reading.batch import Batch
from fragcache.reading.counting import count_ages
from fragcache.reading.pins import are_rendered_from_pinned
from fragcache.reading.reasons import VAGUE, refine
from fragcache.reading.standing import standings
from fragcache.records import Head
from fragcache.slots import Slot

#: More microseconds since 1970 than this are a time, and no count of changes.
_TIMES_BEGIN = 10**15
_SECOND = 1_000_000


def former(batch: Batch, slots: Sequence[Slot], seconds: float, page: Page) -> dict[str, str]:
    """Return by base the HTML of entries that have been stale for at most so many seconds."""
    wanted = [slot for slot in slots if slot.tokens]
    if not wanted:
        return {}
    found = reading(batch.cache, None, _former_entries, batch, wanted) or {}
    shown = {base: entry.field(Field.DEPENDENCIES) for base, entry in found.items()}
    standing = standings({one for one in shown.values() if one}, page)
    moment = now()
    is_of_set = are_rendered_from_pinned(batch, page)
    served = {
        slot.base: entry
        for slot in wanted
        if (entry := found.get(slot.base)) is not None
        and (not (inner := shown[slot.base]) or standing[inner].is_valid)
        and entry.kind == Kind.HTML
        and entry.tokens == slot.tokens
        and not (is_of_set and _is_of_another_version(entry, slot))
        and moment - _stale_since(entry, slot, moment) <= seconds * _SECOND
    }
    for slot in wanted:
        if slot.base in served:
            slot.former_built_at = served[slot.base].built_at
    count_ages(batch, [entry.built_at for entry in served.values()])
    return {base: html_of(entry) for base, entry in served.items()}


def _former_entries(batch: Batch, slots: Sequence[Slot]) -> dict[str, Entry]:
    """Return by base the entries that heads name, of this code or else of the code before."""
    cache = batch.cache
    digests = dict.fromkeys([batch.digest, *_published_digest(batch)])
    heads = {
        (slot.base, digest): head_key(slot.base, digest, cache.room)
        for slot in slots
        for digest in digests
    }
    found = cache.read_many(heads.values())
    for slot in slots:
        refine(batch, slot, found)
        if slot.why in VAGUE and any(heads[slot.base, one] in found for one in digests):
            slot.why = Miss.NEW_DIGEST  # the head is one of the code before
    named: dict[str, str] = {}
    for (base, _digest), key in heads.items():
        head = found.get(key)
        if head is not None and head.kind == Kind.HEAD and base not in named:
            record = Head.unpack(head.payload)
            if not record.is_tombstone:
                named[base] = entry_key(base, record.suffix, cache.room)
    entries = cache.read_many(named.values())
    return {base: entries[key] for base, key in named.items() if key in entries}


def _published_digest(batch: Batch) -> Sequence[str]:
    """Return the digest of the code that warmed the fragment last, which may be older than ours."""
    published = manifest.find(batch.cache, batch.fragment.name)
    return [] if published is None else [published.digest]


def _is_of_another_version(entry: Entry, slot: Slot) -> bool:
    version = "" if slot.version is None else slot.version.encoded
    return entry.field(Field.VERSION) != version.encode()


def _stale_since(entry: Entry, slot: Slot, moment: int) -> int:
    """Return when an entry became stale (microseconds), ``moment`` where that cannot be told."""
    times = [moment]
    if entry.fresh_until:
        times.append(entry.fresh_until)
    if slot.version is not None:
        times += _times(slot.version.encoded)
    return min(times)


def _times(version: str) -> list[int]:
    """Return the newest of the times that a version is made of: when the instance changed."""
    parts = [int(part) for part in version.split("_") if part.isdecimal()]
    times = [part for part in parts if part > _TIMES_BEGIN]
    return [max(times)] if times else []
