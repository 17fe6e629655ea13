"""From instances to HTML: looked up, or else rendered together and stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from django.utils.safestring import SafeString

from fragcache.bubbling import is_recording, note_axes
from fragcache.counters import count, degrade
from fragcache.events import Event
from fragcache.page import Page
from fragcache.reading import groups
from fragcache.reading.batch import Batch
from fragcache.reading.counting import count_bypassed, count_lookup, count_out_of_reach
from fragcache.reading.filling import rendered
from fragcache.reading.flights import fill_once
from fragcache.reading.lookup import look_up
from fragcache.reading.noting import note
from fragcache.reading.outages import is_only_rendered
from fragcache.reading.renewing import renew_later
from fragcache.reading.result import Lookup
from fragcache.reading.stale import former
from fragcache.slots import Slot
from fragcache.stats.bypass import is_bypassed
from fragcache.transactions import is_committed

logger = logging.getLogger("fragcache")


def read(
    batch: Batch,
    page: Page,
    *,
    storable: bool = True,
    tell: Callable[[Lookup, int], object] | None = None,
) -> list[SafeString | None]:
    """Return the HTML of instances by position, None for those that are not to be had.

    ``tell`` is called with the lookup, when what was due is there, and the nanoseconds that it has
    taken; not where nothing was looked for.
    """
    note_axes(batch.fragment.axes)
    if is_bypassed(batch.fragment.name) and batch.fragment.is_local and not is_recording():
        html = _unasked(batch)
        count_bypassed(batch, len(html))
        return html
    if tell is None and is_only_rendered(batch, page):
        count_out_of_reach(batch)
        return _unasked(batch)
    began = time.perf_counter_ns()
    lookup = look_up(batch, page)
    spent = time.perf_counter_ns() - began
    try:
        if lookup.ending and storable and is_committed(page):
            renew_later(batch, lookup.ending, page, is_early=True)
        if lookup.due:
            _fill(batch, lookup, page, storable=storable)
    finally:
        if tell is not None:
            tell(lookup, spent)
        # By now there may be more to say of why something was missed.
        count_lookup(batch, lookup, spent, page)
    if lookup.inner is not None:
        note(batch, lookup.inner)
    return lookup.html


def _unasked(batch: Batch) -> list[SafeString | None]:
    """Return what is rendered without looking for it, since that would take as long."""
    return [None if html is None else _safe(html) for html in rendered(batch)]


def _fill(batch: Batch, lookup: Lookup, page: Page, *, storable: bool) -> None:
    """Put what is due in its places."""
    slots = {slot.base: slot for slot in lookup.due.values()}
    found = groups.rendered(batch, page, slots) if storable else {}
    found |= _rendered_or_stale(batch, _without(slots, found), page, storable=storable)
    for position, slot in lookup.due.items():
        if slot.base in found:
            lookup.html[position] = _safe(found[slot.base])


def _rendered_or_stale(
    batch: Batch, due: Sequence[Slot], page: Page, *, storable: bool
) -> dict[str, str]:
    """Return the HTML of what is due: of stale entries where the fragment allows it, or new."""
    if not due:
        return {}
    fragment = batch.fragment
    is_cut_off = all(slot.is_cut_off for slot in due)
    may_store = storable and not is_cut_off and is_committed(page)
    html: dict[str, str] = {}
    # What is shown inside of another fragment is kept with it: it has to be fresh.
    is_spared = page.is_request and page.is_visited and not is_recording()
    if fragment.stale_while_revalidate and may_store and is_spared:
        html = former(batch, due, fragment.stale_while_revalidate, page)
        if html:
            renew_later(batch, [slot for slot in due if slot.base in html], page)
            count(Event.STALE_SERVED, fragment.name, len(html))
            due = [slot for slot in due if slot.base not in html]
    if due:
        html |= _rendered(batch, due, page, may_store=may_store)
    return html


def _rendered(batch: Batch, due: Sequence[Slot], page: Page, *, may_store: bool) -> dict[str, str]:
    """Return the HTML rendered now; where that fails, of stale entries if all of it has one."""
    fragment = batch.fragment
    try:
        return fill_once(batch, due, page, may_store=may_store)
    except Exception as error:
        if not fragment.stale_if_error or is_recording():
            raise
        html = former(batch, due, fragment.stale_if_error, page)
        if len(html) < len({slot.base for slot in due}):
            raise
        degrade(
            Event.STALE_SERVED,
            fragment.name,
            f"error {type(error).__name__}",
            "%s is shown stale, since it could not be rendered: %s.",
            *(fragment.name, type(error).__name__),
            times=len(html),
        )
        logger.debug("%s could not be rendered.", fragment.name, exc_info=error)
        return html


def _safe(html: str) -> SafeString:
    return html if isinstance(html, SafeString) else SafeString(html)


def _without(slots: Mapping[str, Slot], found: Mapping[str, str]) -> list[Slot]:
    return [slot for base, slot in slots.items() if base not in found]
