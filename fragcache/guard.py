"""What stands between a page and a broken cache: the one place where its failures end.

A page is worth more than its cache: whatever the cache fails at while a page is built becomes the
stated fallback, counted and logged. All that a page waits for comes out of one budget of time; a
cache that fails is left alone by its breaker until it answers again. Commands that exist for the
cache do not come through here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fragcache import conf, deadline, page
from fragcache.breaker import Breaker
from fragcache.counters import count, degrade
from fragcache.deadline import Deadline
from fragcache.events import Event
from fragcache.exceptions import CacheUnavailable
from fragcache.store import Store

P = ParamSpec("P")
R = TypeVar("R")


def reading(
    cache: Store, fallback: R, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Return what ``call``, which asks ``cache``, returns; ``fallback`` where it does not answer.

    That is so as well where a page has no time left to ask it, or its breaker is open.
    """
    return _guarded(cache, cache.reads, fallback, call, *args, **kwargs)


def writing(
    cache: Store, fallback: R, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Return what ``call``, which writes to ``cache``, returns; else ``fallback``, as above.

    A cache that takes no writes is read from all the same.
    """
    return _guarded(cache, cache.writes, fallback, call, *args, **kwargs)


def _guarded(
    cache: Store,
    breaker: Breaker,
    fallback: R,
    call: Callable[P, R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    if not breaker.allows():
        count(Event.GUARD_OPEN)
        return fallback
    current = page.active()
    left = _seconds_left(current)
    if left is not None and left <= 0:
        _say_that_it_is_over(cache)
        return fallback
    limit = None if left is None else deadline.within(left)
    began = time.monotonic()
    try:
        if limit is None:
            result = call(*args, **kwargs)
        else:
            with limit:
                result = call(*args, **kwargs)
    except CacheUnavailable as error:
        _note_failure(cache, breaker, error, limit, began)
        return fallback
    finally:
        if current is not None:
            waited = None if limit is None else limit.waited
            current.waited += time.monotonic() - began if waited is None else waited
    breaker.succeed()
    return result


def _seconds_left(current: page.Page | None) -> float | None:
    """Return what is left of the page's budget; None where there is none to keep to."""
    budget = conf.settings().PAGE_BUDGET
    if current is None or budget is None:
        return budget
    return budget - current.waited if current.is_visited else None


def _note_failure(
    cache: Store, breaker: Breaker, error: CacheUnavailable, limit: Deadline | None, began: float
) -> None:
    """Count a failure; one for lack of time tells nothing of a cache that was not waited for."""
    if limit is not None and limit.was_missed and not _was_waited_for(limit):
        if limit.in_vain:
            breaker.doubt()
        _say_that_it_is_over(cache)
        return
    if not error.is_refusal:
        is_over = limit is not None and not limit.left
        breaker.fail(was_waited_for=is_over and not breaker.has_answered_since(began))
    cause = type(error.__cause__).__name__
    degrade(Event.CACHE_ERROR, "", cause, "The cache is unavailable: %s", error)


def _was_waited_for(limit: Deadline) -> bool:
    budget = conf.settings().PAGE_BUDGET
    return budget is None or limit.in_vain >= budget / 2


def _say_that_it_is_over(cache: Store) -> None:
    degrade(
        Event.OVER_BUDGET,
        "",
        f"budget {cache.alias}",
        "A page has waited for the cache alias %r as long as FRAGCACHE['PAGE_BUDGET'] allows; the "
        "rest of it is built without.",
        cache.alias,
    )
