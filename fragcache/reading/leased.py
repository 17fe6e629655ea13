"""Rendering under leases: of many processes that miss one instance, one renders it.

Where a render is cheaper than asking who may, everybody does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fragcache.chance import new_random
from fragcache.leases import State
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.counting import count_waits
from fragcache.reading.filling import fill
from fragcache.reading.holding import lease_life, lease_name, render, take
from fragcache.reading.stored import Stored, look
from fragcache.slots import Slot

#: Seconds between two looks for what another process renders, at first and at most.
FIRST_LOOK: Final = 0.005
LAST_LOOK: Final = 0.05
#: After so many looks at a lease that nobody holds and that cannot be taken, nobody is thought to
#: render: the cache refuses to hold it, or nobody is there who may store.
FREE_LOOKS: Final = 3
_LEFT: Final = frozenset({State.FREE, State.ENDED})
_random: Final = new_random()
#: Seconds beyond the life of a lease for which it is waited: another one may have taken it over.
_MARGIN: Final = 0.25


def patience(batch: Batch, number: int) -> float:
    """Return the seconds for which so many renders by others are waited for."""
    return lease_life(batch, number) + _MARGIN


def fill_leased(batch: Batch, slots: Sequence[Slot], page: Page) -> Iterator[dict[str, str]]:
    """Yield the HTML of slots by base: first what is rendered here, then what others render.

    What may not be stored takes no lease, but waits for those who have one.
    """
    names = {slot.base: lease_name(batch, slot) for slot in slots if slot.current}
    won = take(batch, {slot.base: names[slot.base] for slot in slots if slot.tokens})
    if won is None or not names:
        yield fill(batch, slots, page, may_store=True)
        return
    lost = {slot.base: slot for slot in slots if slot.base in names and slot.base not in won}
    yield render(batch, [slot for slot in slots if slot.base not in lost], names, page)
    if lost:
        began, number = time.monotonic(), len(lost)
        yield from _await(batch, lost, names, page)
        count_waits(batch, number, time.monotonic() - began)


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
        held = {base: found.leases[names[base]] for base in lost if base not in found.html}
        lost = {base: lost[base] for base in held}
        left = {base: lease for base, lease in held.items() if lease.state in _LEFT}
        ended = {base: lease for base, lease in left.items() if lease.state is State.ENDED}
        to_take = {base: names[base] for base in left if lost[base].tokens}
        won = take(batch, to_take, {b: ended[b] for b in ended if b in to_take}) if left else set()
        if won is None:  # by now they are known to be cheap, or the cache takes no writes
            yield fill(batch, [lost.pop(base) for base in left], page, may_store=True)
            won = set(left)
        else:
            yield render(batch, [lost.pop(base) for base in won], names, page)
        for base in left.keys() - won:
            denied[base] += 1
        if out_of_reach := [base for base in lost if denied[base] >= FREE_LOOKS]:
            # The server that keeps such leases is down; those of the entries may not be.
            yield fill(batch, [lost.pop(base) for base in out_of_reach], page, may_store=True)
        if refused := [base for base in lost if held[base].state is State.REFUSED]:
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
