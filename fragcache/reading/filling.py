"""Rendering what a page misses, and storing it where that is safe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

from fragcache import slots as places
from fragcache.arguments import Instance
from fragcache.axes import activated
from fragcache.bubbling import note_unstorable
from fragcache.declarations import Fragment
from fragcache.events import Event
from fragcache.guard import writing
from fragcache.keys import entry_key, head_key
from fragcache.local import kept_many
from fragcache.page import Page, now
from fragcache.reading import costs, traces
from fragcache.reading.batch import Batch
from fragcache.reading.counting import count_error, count_renders, count_stored
from fragcache.reading.doorkeeper import doorkeeper
from fragcache.rendering import Output, render_many
from fragcache.slots import Slot
from fragcache.versions import Version

_is_filling: Final = ContextVar("fragcache_is_filling", default=False)


def is_filling() -> bool:
    """Whether this is called by what a render calls, be it only to load its rows."""
    return _is_filling.get()


def fill(batch: Batch, due: Sequence[Slot], page: Page, *, may_store: bool) -> dict[str, str]:
    """Return the HTML of ``due`` by base, without those that have no row.

    It is rendered under the axis values that are in its keys, whoever told them: an axis may read
    the request, which a fragment does not see.

    Stored is what carries tokens, if ``may_store``. An error of the site's code is the caller's,
    and nothing is stored then.
    """
    reset = _is_filling.set(True)
    try:
        return _filled(batch, due, page, may_store=may_store)
    finally:
        _is_filling.reset(reset)


def rendered(batch: Batch) -> list[str | None]:
    """Return the HTML of all instances, None for those without a row; nothing is stored."""
    positions = {arguments: position for position, arguments in enumerate(batch.arguments)}
    reset = _is_filling.set(True)
    try:
        outputs = _outputs(batch, list(map(batch.instance, positions.values())))
    finally:
        _is_filling.reset(reset)
    note_unstorable()
    spent = [output.cost for output in outputs if output is not None]
    lost: dict[str, int] = {
        Event.ABSENT: len(outputs) - len(spent),
        Event.NOT_STORED: len(spent),
    }
    count_renders(batch, spent, lost)
    html = [None if output is None else output.html for output in outputs]
    found = dict(zip(positions, html, strict=True))
    return [found[arguments] for arguments in batch.arguments]


def _outputs(
    batch: Batch,
    instances: Sequence[Instance],
    *,
    fresh: bool = False,
    versions_from: frozenset[str] = frozenset(),
    carried: Sequence[Version | None] = (),
) -> list[Output | None]:
    arguments = [instance.arguments for instance in instances]
    with activated(batch.axis_values):
        try:
            return render_many(
                batch.fragment,
                arguments,
                fresh=fresh,
                versions_from=versions_from,
                carried=carried,
            )
        except Exception:
            count_error(batch)
            raise


def _filled(batch: Batch, due: Sequence[Slot], page: Page, *, may_store: bool) -> dict[str, str]:
    fragment, cache = batch.fragment, batch.cache
    may_store = may_store and cache.is_writable and not all(slot.is_cut_off for slot in due)
    if may_store and not fragment.is_versioned:
        for slot in due:
            slot.version = places.unique_version(page.began_at if page.is_request else now())
    rendered = []
    versions_from = places.versions_from(due) if may_store else frozenset[str]()
    instances = [slot.instance for slot in due]
    carried = [slot.version for slot in due] if may_store else []
    found = _outputs(
        batch, instances, fresh=may_store, versions_from=versions_from, carried=carried
    )
    for slot, output in zip(due, found, strict=True):
        if output is not None:
            slot.output = output
            rendered.append(slot)
    storable = [
        slot for slot in rendered if slot.tokens and slot.output and slot.output.is_storable
    ]
    if len(storable) < len(rendered):
        note_unstorable()
    outputs = [output for output in found if output is not None]
    spent = [output.cost for output in outputs]
    costs.note(fragment.name, spent, are_storable=all(output.is_storable for output in outputs))
    stored = doorkeeper.admitted(fragment, storable) if may_store else []
    # Whatever the cause: who knows it tells of it, and counts nothing.
    lost: dict[str, int] = {
        Event.ABSENT: len(due) - len(rendered),
        Event.NOT_STORED: len(rendered) - len(stored),
    }
    count_renders(batch, spent, lost)
    if stored:
        began = time.perf_counter()
        _store(batch, stored, page)
        count_stored(batch, sum(_size(slot) for slot in stored), time.perf_counter() - began)
    if may_store:
        traces.leave(batch, rendered)
    return {slot.base: slot.output.html for slot in rendered if slot.output is not None}


def _size(slot: Slot) -> int:
    return len(slot.output.payload or b"") if slot.output else 0


def needs_heads(fragment: Fragment, page: Page) -> bool:
    """Whether someone finds the fragment's entries by head.

    An object that was loaded before a call outside of any request is of unknown age: its version
    must not move a head.
    """
    if not fragment.is_versioned:
        return True
    return page.is_request and (fragment.is_warmable or fragment.stale_while_revalidate > 0)


def _store(batch: Batch, slots: Sequence[Slot], page: Page) -> None:
    """Store rendered slots, and keep copies; heads that the page itself needs not, later."""
    cache, fragment = batch.cache, batch.fragment
    nothing = places.Written({}, {})
    stored = writing(cache, nothing, places.write_entries, cache, fragment, slots).confirmed

    def write_heads() -> None:
        writing(cache, None, places.write_heads, cache, fragment, slots, stored)

    if not fragment.is_versioned:
        write_heads()
    elif stored and needs_heads(fragment, page):
        # Keys of a KEY_FUNCTION of the site's own may be another tenant's when the page has ended.
        page.later.append(write_heads) if cache.has_plain_keys else write_heads()
    for slot in slots:
        slot.is_stored = entry_key(slot.base, slot.suffix, cache.room) in stored
    copies = kept_many(stored, now(), dict.fromkeys(stored, fragment.life))
    memory = page.memory(cache.space)
    memory.entries.update(copies)
    for slot in slots:
        memory.heads.pop(head_key(slot.base, slot.digest, cache.room), None)
    keys = batch.rows.keys(cache.room) if batch.rows else list(copies)
    named = zip(batch.local_names(keys), map(copies.get, keys), strict=True)
    cache.local.keep({name: copy for name, copy in named if copy is not None})
