"""What stands between a page and a broken cache: the one place where its failures end.

A page is worth more than its cache: whatever the cache fails at while a page is built becomes the
stated fallback, counted and logged. Commands that exist for the cache do not come through here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fragcache.counters import Event, degrade
from fragcache.exceptions import CacheUnavailable

P = ParamSpec("P")
R = TypeVar("R")


def shielded(fallback: R, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what ``call`` returns, or ``fallback`` where the cache is unavailable."""
    try:
        return call(*args, **kwargs)
    except CacheUnavailable as error:
        cause = type(error.__cause__).__name__
        degrade(Event.CACHE_ERROR, "", cause, "The cache is unavailable: %s", error)
        return fallback
