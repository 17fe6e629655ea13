"""Rendering under leases: of many processes that miss one instance, one renders it.

Where a render is cheaper than asking who may, everybody does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fragcache import leases
from fragcache.guard import writing
from fragcache.keys import lease_key
from fragcache.leases import State
from fragcache.page import Page
from fragcache.reading import costs
from fragcache.reading.batch import Batch
from fragcache.reading.filling import fill
from fragcache.reading.stored import Stored, look
from fragcache.slots import Slot

#: Seconds between two looks for what another process renders, at first and at most.
FIRST_LOOK: Final = 0.005
LAST_LOOK: Final = 0.05
#: After so many looks at a lease that is free and cannot be taken, nobody is thought to render:
#: the cache refuses to hold it, or nobody is there who may store.
FREE_LOOKS: Final = 3
#: Of its own: the sites' use of the module's is theirs to seed.
_random: Final = random.Random()  # noqa: S311 - no secret
#: Seconds beyond the life of a lease for which it is waited.
_MARGIN: Final = 0.25


def patience(batch: Batch, number: int) -> float:
    """Return the seconds for which so many renders by others are waited for."""
    return lease_life(batch, number) + _MARGIN


def lease_name(batch: Batch, slot: Slot, purpose: str = "") -> str:
    """Return the key of the right to render a slot, or to do something else for it."""
    state = slot.digest if slot.version is None else slot.suffix
    return lease_key(slot.base, state + purpose, batch.cache.room)


def lease_life(batch: Batch, number: int) -> float:
    """Return the seconds that a lease for so many renders lives."""
    usual = costs.usual(batch.fragment.name)
    return leases.life_of(None if usual is None else usual * number)


def fill_leased(batch: Batch, slots: Sequence[Slot], page: Page) -> Iterator[dict[str, str]]:
    """Yield the HTML of slots by base: first what is rendered here, then what others render.

    What may not be stored takes no lease, but waits for those who have one.
    """
    names = {slot.base: lease_name(batch, slot) for slot in slots if slot.current}
    won = _take(batch, {slot.base: names[slot.base] for slot in slots if slot.tokens})
    if won is None or not names:
        yield fill(batch, slots, page, may_store=True)
        return
    lost = {slot.base: slot for slot in slots if slot.base in names and slot.base not in won}
    yield _render(batch, [slot for slot in slots if slot.base not in lost], names, page)
    if lost:
        yield from _await(batch, lost, names, page)


def _take(batch: Batch, names: Mapping[str, str]) -> set[str] | None:
    """Return the bases whose leases were taken; None where nobody needs any, or can have one."""
    cache = batch.cache
    if not (cache.is_shared and costs.are_worth_a_lease(batch.fragment.name)):
        return None
    if not names:
        return set()
    seconds = lease_life(batch, len(names))
    taken = writing(cache, None, leases.take, cache, names.values(), seconds)
    return None if taken is None else {base for base, name in names.items() if name in taken}


def _render(
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
            found = look(batch, held, (), page)
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


def _await(
    batch: Batch, lost: dict[str, Slot], names: Mapping[str, str], page: Page
) -> Iterator[dict[str, str]]:
    """Yield what other processes store; render what they leave, or do not give in time."""
    deadline = time.monotonic() + patience(batch, len(lost))
    pause = FIRST_LOOK
    denied = dict.fromkeys(lost, 0)
    while lost and time.monotonic() < deadline:
        time.sleep(pause * _random.uniform(0.5, 1.0))
        pause = min(2 * pause, LAST_LOOK)
        found = _look(batch, lost, names, page)
        if found is None:
            break
        yield {base: found.html[base] for base in list(lost) if base in found.html}
        states = {base: found.states[names[base]] for base in lost if base not in found.html}
        lost = {base: lost[base] for base in states}
        free = {base: names[base] for base, state in states.items() if state is State.FREE}
        free_to_take = {base: name for base, name in free.items() if lost[base].tokens}
        won = _take(batch, free_to_take) if free else set()
        if won is None:  # by now they are known to be cheap, or the cache takes no writes
            yield fill(batch, [lost.pop(base) for base in free], page, may_store=True)
            won = set(free)
        else:
            yield _render(batch, [lost.pop(base) for base in won], names, page)
        for base in free.keys() - won:
            denied[base] += 1
        if out_of_reach := [base for base in lost if denied[base] >= FREE_LOOKS]:
            # The server that keeps such leases is down; those of the entries may not be.
            yield fill(batch, [lost.pop(base) for base in out_of_reach], page, may_store=True)
        if refused := [base for base in lost if states[base] is State.REFUSED]:
            yield fill(batch, [lost.pop(base) for base in refused], page, may_store=False)
    if lost:
        yield fill(batch, list(lost.values()), page, may_store=False)


def _look(
    batch: Batch, lost: Mapping[str, Slot], names: Mapping[str, str], page: Page
) -> Stored | None:
    """Return what is stored by now; None where the cache does not answer.

    A look that is answered takes nothing of the page's time for its cache: what is waited for is a
    render.
    """
    waited = page.waited
    wanted = [names[base] for base in lost]
    found = look(batch, list(lost.values()), wanted, page)
    if found is not None:
        page.waited = waited
    return found
