"""Prefetching: what a page will show is fetched together with what it shows first.

Any number of calls costs one round trip, since each of them only says what it wishes for. What
turns out to be missing is rendered together, when the first of it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from fragcache import conf, page
from fragcache.exceptions import InvalidArguments, UnknownAxis
from fragcache.reading import groups
from fragcache.reading.batch import Batch
from fragcache.reading.entries import held
from fragcache.reading.lookup import wanted_by
from fragcache.reading.resolving import Reference, find
from fragcache.store import store


def prefetch_fragments(
    f: Reference,
    items: Sequence[Any],
    *,
    request: HttpRequest | None = None,
    using: str | None = None,
    **kwargs: Any,
) -> None:
    """Let the page's next read bring these instances as well; outside of a page, do nothing.

    Raises:
        UnknownFragment: nobody declares that name.
        InvalidArguments, NoIdentity: the items do not name instances.
    """
    fragment = find(f, using)
    current = page.active()
    if fragment is None or current is None or not items or not conf.settings().ENABLED:
        return
    try:
        batch = Batch.of(fragment, store(using or fragment.using), items, kwargs, request)
    except (InvalidArguments, UnknownAxis):
        if not fragment.is_remote or settings.DEBUG:
            raise
        return  # reading says so, and counts it
    if held(batch, current) is None:
        groups.add(batch, current)
        _wish(batch, current)


def _wish(batch: Batch, current: page.Page) -> None:
    memory = current.memory(batch.cache.space)
    wanted = wanted_by(batch, current)
    keys = batch.rows.keys(batch.cache.room) if batch.rows else list(wanted.entries)
    copies = batch.cache.local.get_many(batch.local_names(keys))
    for key, copy in zip(keys, copies, strict=True):
        if copy is not None or key in memory.entries:
            wanted.entries.pop(key, None)
    memory.wishes.add(wanted)
