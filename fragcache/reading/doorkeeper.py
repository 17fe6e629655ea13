"""The doorkeeper: a flood of instances that nobody asks for twice does not evict the others.

Of a fragment whose arguments may be anything, each process stores so many new instances a minute.
Beyond that an instance is stored when it is missed for the second time, as in TinyLFU (Einziger,
Friedman, Manes 2017).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from fragcache.bounded import Bounded
from fragcache.counters import degrade
from fragcache.declarations import Fragment
from fragcache.events import Event
from fragcache.locks import new_lock
from fragcache.slots import Slot

#: New instances of one fragment that a process stores in a minute without further ado.
FREE: Final = 1_000
PERIOD: Final = 60.0
#: How many misses a process remembers, of all fragments; each takes some 100 bytes.
_REMEMBERED: Final = 100_000


class Doorkeeper:
    """What one process has let in, and what it has turned away once."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._missed: Bounded[bool] = Bounded(_REMEMBERED, size_of=lambda _value: 1)
        #: By fragment, when the minute began, and how many were let in since.
        self._let_in: dict[str, tuple[float, int]] = {}

    def admitted(self, fragment: Fragment, slots: Sequence[Slot]) -> Sequence[Slot]:
        """Return those that are to be stored."""
        if fragment.is_warmable:  # it says itself which instances there are
            return slots
        free = self._take(fragment.name, len(slots))
        if free >= len(slots):
            return slots
        candidates = slots[free:]
        names = [hash((slot.base, slot.tokens)) for slot in candidates]
        seen = self._missed.get_many(names)
        self._missed.keep(dict.fromkeys(names, True))
        again = [slot for slot, is_known in zip(candidates, seen, strict=True) if is_known]
        if len(again) < len(candidates):
            degrade(
                Event.TURNED_AWAY,
                fragment.name,
                "flood",
                "More than %d new instances of %s a minute: one is stored when it is asked for "
                "twice.",
                *(FREE, fragment.name),
                times=len(candidates) - len(again),
            )
        return [*slots[:free], *again]

    def forget(self) -> None:
        """Forget all."""
        with self._lock:
            self._let_in.clear()
        self._missed.clear()

    def _take(self, name: str, number: int) -> int:
        """Return how many of so many may be stored without further ado."""
        moment = time.monotonic()
        with self._lock:
            began, taken = self._let_in.get(name, (moment, 0))
            if moment - began >= PERIOD:
                began, taken = moment, 0
            free = min(number, max(0, FREE - taken))
            self._let_in[name] = began, taken + free
        return free


doorkeeper: Final = Doorkeeper()
