"""Turns: who changes what a set shows waits for who is at it, publisher or operator.

So that none reads what is shown, and replaces it when it is not shown any more; nor bounds the
lives of members that are shown again meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from fragcache import leases
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import set_key
from fragcache.store import Store

#: Seconds that a turn has: of one that was killed in it, the next one waits for the rest of them.
SECONDS: Final = 10.0
_LOOK: Final = 0.02


@contextmanager
def turn(cache: Store, name: str) -> Iterator[None]:
    """Keep others out, but none for ever: who takes longer than ``SECONDS`` is met by another.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    key = set_key(name, cache.room, "turn")
    until = time.monotonic() + SECONDS
    while not (is_mine := bool(leases.take(cache, [key], SECONDS))) and time.monotonic() < until:
        time.sleep(_LOOK)
    try:
        yield
    finally:
        if is_mine:
            with suppress(CacheUnavailable):  # it ends by itself
                leases.end(cache, [key], ())
