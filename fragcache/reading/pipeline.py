"""From instances to HTML: looked up, or else rendered together and stored."""

from __future__ import annotations

from django.utils.safestring import SafeString

from fragcache.bubbling import note_axes
from fragcache.counters import count
from fragcache.page import Page
from fragcache.reading import groups
from fragcache.reading.batch import Batch
from fragcache.reading.flights import fill_once
from fragcache.reading.lookup import look_up
from fragcache.transactions import is_committed


def read(batch: Batch, page: Page, *, storable: bool = True) -> list[SafeString | None]:
    """Return the HTML of instances by position, None for those that are not to be had."""
    note_axes(batch.fragment.axes)
    lookup = look_up(batch, page)
    html = lookup.html
    for event, times in lookup.events.items():
        count(event, batch.fragment.name, times)
    if lookup.due:
        slots = {slot.base: slot for slot in lookup.due.values()}
        rendered = groups.rendered(batch, page, slots) if storable else {}
        left = [slot for base, slot in slots.items() if base not in rendered]
        if left:
            may_store = storable and is_committed(page)
            rendered |= fill_once(batch, left, page, may_store=may_store)
        for position, slot in lookup.due.items():
            if slot.base in rendered:
                html[position] = SafeString(rendered[slot.base])
    return html
