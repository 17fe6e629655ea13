"""Flights: of many threads that miss one instance, one renders it and the others wait for that.

Inside of a render nothing is waited for, so that fragments which show each other never wait for
themselves; and a thread renders what is its own before it waits for others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from fragcache.bubbling import is_recording
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.filling import fill
from fragcache.reading.leased import fill_leased, patience
from fragcache.slots import Slot

#: Of which cache and instance, in which state, under which tokens.
_Key = tuple[str, str, str, bytes | None]


class Flight:
    """One render, for which other threads of the process wait."""

    __slots__ = ("_ended", "_html")

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._html: str | None = None

    def end(self, html: str | None) -> None:
        """Tell the others once; None where it failed, or is nobody else's business."""
        if not self._ended.is_set():
            self._html = html
            self._ended.set()

    def wait(self, seconds: float) -> str | None:
        """Return what it gave, None if that does not come in time."""
        self._ended.wait(seconds)
        return self._html

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()


_flights: dict[_Key, Flight] = {}
_lock = threading.Lock()


def fill_once(batch: Batch, due: Sequence[Slot], page: Page, *, may_store: bool) -> dict[str, str]:
    """Return the HTML of ``due`` by base, as ``fill``; each is rendered by one at a time.

    What may not be stored is nobody else's.
    """
    if not may_store or is_recording() or not batch.cache.is_writable:
        return fill(batch, due, page, may_store=may_store)
    keys = {_key(batch, slot): slot for slot in due if slot.tokens}
    own, others = _begin(keys)
    mine = [slot for slot in due if slot.base not in others]
    html: dict[str, str] = {}
    try:
        for part in fill_leased(batch, mine, page) if mine else ():
            html |= part
            _tell(own, mine, part)
    finally:
        _end(keys, own)
    if others:
        html |= _follow(batch, [slot for slot in due if slot.base in others], others, page)
    return html


def _key(batch: Batch, slot: Slot) -> _Key:
    state = slot.digest if slot.version is None else slot.suffix
    return batch.cache.space, slot.base, state, slot.tokens


def _begin(keys: Mapping[_Key, Slot]) -> tuple[dict[str, Flight], dict[str, Flight]]:
    """Return the flights that begin here, and those that are under way, by base."""
    own, others = {}, {}
    with _lock:
        for key, slot in keys.items():
            flight = _flights.get(key)
            if flight is None:
                own[slot.base] = _flights[key] = Flight()
            else:
                others[slot.base] = flight
    return own, others


def _tell(own: Mapping[str, Flight], mine: Sequence[Slot], html: Mapping[str, str]) -> None:
    for slot in mine:
        if slot.base in html and slot.base in own:
            is_for_all = slot.output is None or slot.output.is_storable
            own[slot.base].end(html[slot.base] if is_for_all else None)


def _end(keys: Mapping[_Key, Slot], own: Mapping[str, Flight]) -> None:
    with _lock:
        for key, slot in keys.items():
            if slot.base in own:
                del _flights[key]
    for flight in own.values():
        flight.end(None)


def _follow(
    batch: Batch, slots: Sequence[Slot], others: Mapping[str, Flight], page: Page
) -> dict[str, str]:
    """Return what other threads render; what does not come in time is rendered, and not stored."""
    deadline = time.monotonic() + patience(batch, len(slots))
    html: dict[str, str] = {}
    late = []
    for slot in slots:
        flight = others[slot.base]
        found = flight.wait(max(0.0, deadline - time.monotonic()))
        if found is not None:
            html[slot.base] = found
        elif not flight.has_ended:
            late.append(slot)
    failed = [slot for slot in slots if slot.base not in html and slot not in late]
    for left, may_store in ((failed, True), (late, False)):
        if left:
            html |= fill(batch, left, page, may_store=may_store)
    return html
