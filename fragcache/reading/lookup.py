"""What the cache holds of the instances a page wants: one multi-get, and a verdict on each.

Entries are found by their version, which the page knows; without one, by the head, which costs a
second round trip. Tokens ride along: an entry is current only under the tokens in its header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from fragcache import tokens, transactions, versions
from fragcache.bubbling import is_recording, note_includes, note_unstorable
from fragcache.counters import Event, count
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.entry import Entry, Kind
from fragcache.guard import shielded
from fragcache.keys import entry_key, head_key
from fragcache.manifest import RemoteFragment
from fragcache.page import Page, now
from fragcache.records import Head
from fragcache.slots import Slot, includes_are_current, recorded_includes, token_names
from fragcache.store import Store
from fragcache.tokens import TokenName, Tokens


class Verdict(Enum):
    """What an entry is worth."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"


@dataclass(slots=True)
class Lookup:
    """What was found, by the base of the slots' keys."""

    html: dict[str, str] = field(default_factory=dict)
    #: What has to be rendered. A slot that may be stored carries its tokens.
    due: list[Slot] = field(default_factory=list)


def look_up(fragment: Fragment, cache: Store, slots: Sequence[Slot], page: Page) -> Lookup:
    """Return what the cache holds; where it is unavailable, everything is due."""
    if isinstance(fragment, RemoteFragment):
        return _by_head(fragment, cache, _under(fragment.digest, slots), page)
    _under(digest_of(fragment), slots)
    if not fragment.is_versioned:
        return _by_head(fragment, cache, slots, page)
    known = versions.of_instances(fragment, [slot.instance for slot in slots], page)
    present = []
    for slot, version in zip(slots, known, strict=True):
        slot.version = version
        if version is not None:
            present.append(slot)
    count(Event.ABSENT, fragment.name, len(slots) - len(present))
    return _by_version(fragment, cache, present, page)


def _by_version(fragment: Fragment, cache: Store, slots: Sequence[Slot], page: Page) -> Lookup:
    keys = {slot.base: entry_key(slot.base, slot.suffix, cache.room) for slot in slots}
    found, current = _fetch(fragment, cache, slots, keys.values())
    entries = {slot.base: found.get(keys[slot.base]) for slot in slots}
    return _judged(fragment, slots, entries, current, page)


def _by_head(fragment: Fragment, cache: Store, slots: Sequence[Slot], page: Page) -> Lookup:
    keys = {slot.base: head_key(slot.base, slot.digest, cache.room) for slot in slots}
    found, current = _fetch(fragment, cache, slots, keys.values())
    entry_keys = {}
    for slot in slots:
        record = found.get(keys[slot.base])
        if record is not None and record.kind == Kind.HEAD:
            slot.head = Head.unpack(record.payload)
            if not slot.head.is_tombstone:
                entry_keys[slot.base] = entry_key(slot.base, slot.head.suffix, cache.room)
    found = shielded({}, cache.read_many, entry_keys.values())
    entries = {slot.base: found.get(entry_keys.get(slot.base, "")) for slot in slots}
    return _judged(fragment, slots, entries, current, page)


def _under(digest: str, slots: Sequence[Slot]) -> Sequence[Slot]:
    for slot in slots:
        slot.digest = digest
    return slots


def _fetch(
    fragment: Fragment, cache: Store, slots: Sequence[Slot], keys: Iterable[str]
) -> tuple[Mapping[str, Entry], Tokens | None]:
    """Return values and tokens of one multi-get; no tokens where the cache is unavailable."""
    names = [name for slot in slots for name in token_names(fragment, slot.instance)]
    token_keys = tokens.keys_of(cache, dict.fromkeys(names))
    wanted = [*keys, *(key for copies in token_keys.values() for key in copies)]
    stored = shielded(None, cache.fetch_many, wanted)
    if stored is None:
        return {}, None
    found = cache.open_many(stored)
    return found, shielded(None, tokens.settle, cache, token_keys, stored, found)


def _judged(
    fragment: Fragment,
    slots: Sequence[Slot],
    entries: Mapping[str, Entry | None],
    current: Tokens | None,
    page: Page,
) -> Lookup:
    lookup = Lookup()
    moment = now()
    verdicts = dict.fromkeys(Verdict, 0)
    awaited = transactions.awaited()
    for slot in slots:
        names = token_names(fragment, slot.instance)
        pair = current.pair(*names) if current and awaited.isdisjoint(names) else None
        entry = entries[slot.base]
        verdict = _verdict(entry, pair, current, moment, names, may_check_code=fragment.is_local)
        verdicts[verdict] += 1
        may_serve = verdict is Verdict.FRESH or not fragment.is_local
        if entry is not None and verdict is not Verdict.MISSING and may_serve:
            lookup.html[slot.base] = entry.payload.decode()
            if verdict is Verdict.STALE:
                note_unstorable()
            if is_recording():
                note_includes(recorded_includes(entry))
            continue
        if current and pair and current.allow_storing(names, page):
            slot.tokens = pair
        lookup.due.append(slot)
    _count(fragment, verdicts)
    return lookup


def _verdict(
    entry: Entry | None,
    pair: bytes | None,
    current: Tokens | None,
    moment: int,
    names: Sequence[TokenName],
    *,
    may_check_code: bool,
) -> Verdict:
    """Return what an entry is worth; a target has no code to check it against."""
    if entry is None or entry.kind != Kind.HTML:
        return Verdict.MISSING
    if current and current.have_purged(entry.tokens, names):
        return Verdict.MISSING
    is_current = entry.tokens == pair and (not may_check_code or includes_are_current(entry))
    is_in_time = not entry.fresh_until or moment <= entry.fresh_until
    return Verdict.FRESH if is_current and is_in_time else Verdict.STALE


def _count(fragment: Fragment, verdicts: Mapping[Verdict, int]) -> None:
    stale = Event.STALE if fragment.is_local else Event.STALE_SERVED
    count(Event.HIT, fragment.name, verdicts[Verdict.FRESH])
    count(Event.MISSING, fragment.name, verdicts[Verdict.MISSING])
    count(stale, fragment.name, verdicts[Verdict.STALE])
