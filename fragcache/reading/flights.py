"""Flights: of many threads that miss one instance, one renders it and the others wait for that.

Inside of a render nothing is waited for, so that fragments which show each other never wait for
themselves; and a thread renders what is its own before it waits for others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from fragcache import transactions
from fragcache.bubbling import is_recording
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.board import Board, Flight, Key
from fragcache.reading.counting import count_waits
from fragcache.reading.fetching import known_tokens
from fragcache.reading.filling import fill, is_filling
from fragcache.reading.leased import fill_leased, patience
from fragcache.slots import Slot, token_names

_flights: Final = Board()


def fill_once(batch: Batch, due: Sequence[Slot], page: Page, *, may_store: bool) -> dict[str, str]:
    """Return the HTML of ``due`` by base, as ``fill``; each is rendered by one at a time.

    What may not be stored is nobody else's.
    """
    is_alone = not may_store or all(slot.is_cut_off for slot in due)
    if is_alone or is_recording() or is_filling() or not batch.cache.is_writable:
        return fill(batch, due, page, may_store=may_store)
    _note_current(batch, due, page)
    keys = {slot.base: _key(batch, slot) for slot in due if slot.current}
    leading = {slot.base for slot in due if slot.tokens}
    own, others, html = _flights.begin(keys, leading, page.began, _until(batch, len(keys)))
    try:
        mine = [slot for slot in due if slot.base not in others and slot.base not in html]
        for part in fill_leased(batch, mine, page) if mine else ():
            html |= part
            _flights.end(keys, own, _given(mine, part))
    finally:
        _flights.end(keys, own, dict.fromkeys(own))
    if others:
        html |= _follow(batch, [slot for slot in due if slot.base in others], others, page)
    return html


def _note_current(batch: Batch, due: Sequence[Slot], page: Page) -> None:
    """Note the tokens under which others may store what this page may only read.

    Of threads and processes that miss an instance for the first time, one alone may store it: the
    one that has made its tokens.
    """
    awaited = transactions.awaited()
    for slot in due:
        slot.current = slot.tokens
        names = token_names(batch.fragment, slot.instance.encoded)
        if slot.tokens is None and awaited.isdisjoint(names):
            known = known_tokens(batch.cache, page, names)
            slot.current = None if known is None else known.pair(*names)


def _key(batch: Batch, slot: Slot) -> Key:
    state = slot.digest if slot.version is None else slot.suffix
    return batch.cache.space, slot.base, state, slot.current


def _until(batch: Batch, number: int) -> float:
    return time.monotonic() + patience(batch, number)


def _given(mine: Sequence[Slot], html: Mapping[str, str]) -> dict[str, str | None]:
    """Return what is given to others: None for what may not be stored."""
    return {
        slot.base: html[slot.base] if slot.output is None or slot.output.is_storable else None
        for slot in mine
        if slot.base in html
    }


def _follow(
    batch: Batch, slots: Sequence[Slot], others: Mapping[str, Flight], page: Page
) -> dict[str, str]:
    """Return what other threads render; what does not come in time is rendered, and not stored."""
    until = _until(batch, len(slots))
    html: dict[str, str] = {}
    late: dict[str, Slot] = {}
    began = time.monotonic()
    for slot in slots:
        flight = others[slot.base]
        found = flight.wait(until)
        if found is not None:
            html[slot.base] = found
        elif not flight.has_ended:
            late[slot.base] = slot
    count_waits(batch, len(slots), time.monotonic() - began)
    failed = [slot for slot in slots if slot.base not in html and slot.base not in late]
    for left, may_store in ((failed, True), (list(late.values()), False)):
        if left:
            html |= fill(batch, left, page, may_store=may_store)
    return html
