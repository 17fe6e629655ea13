"""Groups: instances that one call has prefetched, rendered together where they are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fragcache.bubbling import is_recording
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.flights import fill_once
from fragcache.reading.lookup import look_up
from fragcache.reading.result import Lookup
from fragcache.transactions import is_committed


class Group:
    """Each member's HTML is given out once: what could be stored is in the page's memory."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._rendered: dict[str, str] | None = None
        #: Why members were due, until that is counted.
        self._missed: dict[str, str] = {}

    def take(self, base: str, page: Page) -> str | None:
        """Return the HTML of a member that is due, None if it was given out already.

        None as well where one of them fails: then each renders for itself, if it is placed.
        """
        if self._rendered is None:
            try:
                self._rendered = self._fill(page)
            except Exception:  # noqa: BLE001 - it is raised again where the member is placed
                self._rendered = {}
        return self._rendered.pop(base, None)

    def reason(self, base: str) -> str:
        """Return what ``take_reason`` will, and leave it."""
        return self._missed.get(base, "")

    def take_reason(self, base: str) -> str:
        """Return once why a member was due when the group was rendered, "" if it was not."""
        return self._missed.pop(base, "")

    def _fill(self, page: Page) -> dict[str, str]:
        due = look_up(self._batch, page).due
        slots = {slot.base: slot for slot in due.values()}
        html = fill_once(self._batch, list(slots.values()), page, may_store=is_committed(page))
        self._missed = {base: slots[base].why for base in html}
        return html


def add(batch: Batch, page: Page) -> None:
    """Make the instances of a batch a group of the page."""
    group = Group(batch)
    groups = page.memory(batch.cache.space).groups
    for position in range(len(batch.items)):
        groups[batch.base(position)] = group


def reasons(batch: Batch, lookup: Lookup, page: Page) -> dict[int, str]:
    """Return by position why hits of a lookup are none, without taking it."""
    groups = page.memory(batch.cache.space).groups
    if not groups:
        return {}
    known = {
        position: group.reason(batch.base(position))
        for position, html in enumerate(lookup.html)
        if html is not None
        and position not in lookup.due
        and (group := groups.get(batch.base(position)))
    }
    return {position: reason for position, reason in known.items() if reason}


def take_missed(batch: Batch, lookup: Lookup, page: Page) -> Counter[str]:
    """Return why hits of a lookup are none: the page has rendered them itself, in groups."""
    groups = page.memory(batch.cache.space).groups
    missed: Counter[str] = Counter()
    for position, html in enumerate(lookup.html):
        group = groups.get(batch.base(position))
        reason = group.take_reason(batch.base(position)) if group and html is not None else ""
        if reason and position not in lookup.due:
            missed[reason] += 1
    return missed


def rendered(batch: Batch, page: Page, bases: Iterable[str]) -> dict[str, str]:
    """Return the HTML of those among the due instances that belong to groups.

    Inside of a render every instance is read for itself, so that what it shows bubbles outward.
    """
    groups = page.memory(batch.cache.space).groups
    if not groups or is_recording():
        return {}
    taken = {base: groups[base].take(base, page) for base in bases if base in groups}
    return {base: html for base, html in taken.items() if html is not None}
