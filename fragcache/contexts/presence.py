"""Presence: of which instances there are contexts; the source is not asked for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fragcache.contexts.fetching import looking
from fragcache.contexts.lookup import newest
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable
from fragcache.reading.lookup import head_keys


def are_there(fragment: Fragment, items: Sequence[Any], *, using: str | None = None) -> list[bool]:
    """Return of which instances there is a context, which heads alone do not tell.

    The source is not asked for those that are not there.

    Raises:
        As ``fetch_contexts``.
    """
    with looking(fragment, items, {}, None, using=using) as (batch, current):
        return [found is not None for found in newest(batch, current)]


def built_at(
    fragment: Fragment, items: Sequence[Any], *, using: str | None = None
) -> list[int | None]:
    """Return when the newest contexts were built, in microseconds since 1970 UTC; None for none.

    Nor is the source asked here.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    with looking(fragment, items, {}, None, using=using) as (batch, current):
        found = newest(batch, current)
        if not current.memory(batch.cache.space).heads.keys() >= set(head_keys(batch)):
            raise CacheUnavailable(f"alias {batch.cache.alias!r}: it does not answer")
    return [None if one is None else one.built_at for one in found]
