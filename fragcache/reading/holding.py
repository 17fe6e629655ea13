"""Holding leases: who renders on behalf of others, and tells them when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fragcache import leases
from fragcache.guard import writing
from fragcache.keys import lease_key
from fragcache.leases import Lease
from fragcache.page import Page
from fragcache.reading import costs
from fragcache.reading.batch import Batch
from fragcache.reading.filling import fill
from fragcache.reading.stored import look
from fragcache.slots import Slot


def lease_name(batch: Batch, slot: Slot, purpose: str = "") -> str:
    """Return the key of the right to render a slot, or to do something else for it."""
    state = slot.digest if slot.version is None else slot.suffix
    return lease_key(slot.base, state + purpose, batch.cache.room)


def lease_life(batch: Batch, number: int) -> float:
    """Return the seconds that a lease for so many renders lives."""
    usual = costs.usual(batch.fragment.name)
    return leases.life_of(None if usual is None else usual * number)


def take(
    batch: Batch, names: Mapping[str, str], ended: Mapping[str, Lease] = MappingProxyType({})
) -> set[str] | None:
    """Take leases by base, those too that have ``ended``; return the bases of what was taken.

    None where nobody needs any, or can have one.
    """
    cache = batch.cache
    if not (cache.is_shared and costs.are_worth_a_lease(batch.fragment.name)):
        return None
    if not names:
        return set()
    seconds = lease_life(batch, len(names))
    former = {names[base]: lease for base, lease in ended.items()}
    taken = writing(cache, None, leases.take, cache, names.values(), seconds, former)
    return None if taken is None else {base for base, name in names.items() if name in taken}


def render(
    batch: Batch, slots: Sequence[Slot], names: Mapping[str, str], page: Page
) -> dict[str, str]:
    """Render what is not there by now, and end the leases whatever comes of it.

    Others wait for it: it has the page's time for its cache once more, and to end the leases again.
    """
    held = [slot for slot in slots if slot.base in names]
    waited, page.waited = page.waited, 0.0
    html: dict[str, str] = {}
    try:
        if held:
            found = look(batch, held, (), page, asks_why=True)
            html |= found.html if found else {}
        if left := [slot for slot in slots if slot.base not in html]:
            html |= fill(batch, left, page, may_store=True)
    finally:
        stored: list[str] = []
        refused: list[str] = []
        for slot in held:
            is_there = slot.base in html and (slot.output is None or slot.is_stored)
            (stored if is_there else refused).append(names[slot.base])
        waited, page.waited = waited + page.waited, 0.0
        if held:
            writing(batch.cache, None, leases.end, batch.cache, stored, refused)
        page.waited += waited
    return html
