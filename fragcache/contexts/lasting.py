"""Lasting: the last context that fitted a target's shape, while the source publishes another one.

A new release of a source must not be an outage of its targets. What fitted is kept by the process,
in the room of the local cache; one that has just begun finds it where the head still names it.
"""

from __future__ import annotations

from typing import Any, Final

from fragcache.contexts.lookup import Age, Found, fetched, superseded
from fragcache.contexts.shapes import shaped
from fragcache.contexts.snapshots import open_snapshot
from fragcache.counters import degrade
from fragcache.events import Event
from fragcache.exceptions import ShapeMismatch, Unreadable
from fragcache.local import KeptSnapshot
from fragcache.page import Page, now
from fragcache.reading.batch import Batch
from fragcache.reading.fetching import known_tokens
from fragcache.reading.lookup import head_keys
from fragcache.reading.standing import standings
from fragcache.store import Store

#: Seconds for which the last context that fitted is shown after it was the newest.
LAST_GOOD: Final = 3_600
#: Seconds after which it is noted again that it still is.
_NOTED_FOR: Final = 60
_SECOND: Final = 1_000_000


def note_good(batch: Batch, position: int, shape: type[Any], found: Found, page: Page) -> None:
    """Keep a context that fits, if it is the newest one; that of an atomic set may be none."""
    if found.age is not Age.FRESH or _is_of_set(batch, position, page):
        return
    cache, until = batch.cache, now() + LAST_GOOD * _SECOND
    name = _name(batch, position, shape)
    [kept] = cache.local.snapshots.get_many([name])
    is_noted = kept is not None and kept.payload is found.payload
    if kept is None or not is_noted or until - kept.until > _NOTED_FOR * _SECOND:
        copy = KeptSnapshot(
            found.payload, found.tokens, until, found.built_at, ("", ""), found.dependencies
        )
        cache.local.snapshots.keep({name: copy})


def last_good(
    batch: Batch, position: int, shape: type[Any], misfit: Found, page: Page
) -> Any | None:
    """Return an instance of ``shape`` made of the last context that fitted, None without one.

    None also where it was purged, and where the page shows the instance of an atomic set.
    """
    tokens = known_tokens(batch.cache, page, batch.distinct_token_names())
    if tokens is None or _is_of_set(batch, position, page):
        return None
    [kept] = batch.cache.local.snapshots.get_many([_name(batch, position, shape)])
    moment = now()
    if kept is None or kept.until < moment:
        is_recent = moment <= misfit.built_at + LAST_GOOD * _SECOND
        kept = _before(batch.cache, superseded(batch, position, page)) if is_recent else None
    if kept is None or tokens.have_purged(kept.tokens, batch.token_names(position)):
        return None
    if kept.dependencies and _is_purged(kept.dependencies, batch, page):
        return None
    try:
        made = shaped(open_snapshot(kept.payload), shape, "The context before")
    except (ShapeMismatch, Unreadable):
        return None
    return made


def say_that_it_lasts(name: str, error: ShapeMismatch) -> None:
    """Count and log that another context stands in for one that does not fit."""
    message = "For at most %d minutes the last context that fitted is shown. %s"
    degrade(Event.STALE_SERVED, name, "misfit", message, LAST_GOOD // 60, error)


def _before(cache: Store, key: str | None) -> KeptSnapshot | None:
    return None if key is None else fetched(cache, [key], None).get(key)


def _is_of_set(batch: Batch, position: int, page: Page) -> bool:
    return head_keys(batch)[position] in page.memory(batch.cache.space).pinned


def _is_purged(shown: bytes, batch: Batch, page: Page) -> bool:
    """Whether HTML of others that a context holds was purged."""
    return standings([shown], page, source=batch.cache)[shown].is_purged


def _name(batch: Batch, position: int, shape: type[Any]) -> tuple[str, ...]:
    space = batch.cache.space
    return space, "fitted", batch.base(position), f"{shape.__module__}.{shape.__qualname__}"
