"""Outages: while a cache is left alone, a page makes no key and asks for no version in vain."""

from __future__ import annotations

import time

from fragcache.bubbling import is_recording
from fragcache.counters import count
from fragcache.events import Event, Miss
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.fetching import known_tokens, longest_trust
from fragcache.reading.noting import Inner
from fragcache.reading.result import Lookup
from fragcache.slots import Slot


def is_out_of_reach(batch: Batch, page: Page) -> bool:
    """Whether the cache is left alone, and nothing that is held of it is known to be current.

    A target looks all the same: what it held may be the last that is known to have been good.
    """
    reads = batch.cache.reads
    if reads.allows() or batch.fragment.is_remote:
        return False
    memory = page.memory(batch.cache.space)
    holds_something = batch.cache.local.is_on or memory.entries or memory.heads
    # Optimisation: nothing that is held is current for longer than this.
    if not holds_something or time.monotonic() - reads.opened_at > longest_trust():
        return True
    return known_tokens(batch.cache, page, batch.distinct_token_names()) is None


def is_only_rendered(batch: Batch, page: Page) -> bool:
    """Whether that is so, and nobody is to be told later what the page has looked for."""
    if batch.cache.reads.open_since is None:  # optimisation: of nearly every page
        return False
    memory = page.memory(batch.cache.space)
    return not memory.groups and memory.used is None and is_out_of_reach(batch, page)


def out_of_reach(batch: Batch, page: Page) -> Lookup:
    """Return a lookup in which everything is due, and nothing may be stored."""
    count(Event.GUARD_OPEN)
    nothing: list[None] = [None] * len(batch.items)
    slots: dict[int, Slot] = {}
    distinct: dict[str, Slot] = {}
    for position in range(len(nothing)):
        slot = batch.slot(position)
        slot.is_cut_off, slot.why = True, Miss.GUARD
        slots[position] = distinct.setdefault(slot.base, slot)
    memory = page.memory(batch.cache.space)
    if memory.used is not None:
        memory.used.append((batch, ()))
    inner = Inner(nothing, nothing, nothing) if is_recording() else None
    events = {Event.HIT: 0, Event.MISSING: len(nothing)}
    return Lookup([*nothing], events, slots, inner=inner)
