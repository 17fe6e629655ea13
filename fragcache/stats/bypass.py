"""Bypassing: what is not worth keeping, by the ledger, is rendered without looking for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from fragcache import conf

#: Seconds from one look at the ledger to the next.
INTERVAL: Final = 600.0

_names: frozenset[str] = frozenset()
_asked_at: float | None = None


def is_bypassed(name: str) -> bool:
    """Whether a fragment is not worth a look."""
    return name in _names


def refresh(unworthy: Callable[[], Collection[str]]) -> None:
    """Ask ``unworthy`` for names, if that is wanted and it is time to."""
    global _names, _asked_at
    if not conf.settings().BYPASS_UNWORTHY:
        forget()
        return
    moment = time.monotonic()
    if _asked_at is None or moment - _asked_at >= INTERVAL:
        _asked_at = moment
        _names = frozenset(unworthy())


def forget() -> None:
    """Bypass nothing until the next look."""
    global _names, _asked_at
    _names, _asked_at = frozenset(), None
