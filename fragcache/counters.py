"""What happened in this process: counts per fragment, and one log line per cause and minute."""

from __future__ import annotations

import logging
import time
from collections import Counter
from enum import StrEnum
from typing import Final

from fragcache.locks import new_lock
from fragcache.signals import degraded

logger = logging.getLogger("fragcache")

#: Seconds between two log lines of one cause.
LOG_INTERVAL: Final = 60.0


class Event(StrEnum):
    """What can happen to an instance; one word per kind of outcome."""

    HIT = "hit"
    MISSING = "missing"
    STALE = "stale"
    STALE_SERVED = "stale_served"
    RENDERED = "rendered"
    STORED = "stored"
    REFUSED = "refused"
    NOT_STORED = "not_stored"
    UNBELIEVED = "unbelieved"
    UNKNOWN_KEY = "unknown_key"
    UNDEFINED_ARGUMENT = "undefined_argument"
    ABSENT = "absent"
    CACHE_ERROR = "cache_error"
    GUARD_OPEN = "guard_open"
    OVER_BUDGET = "over_budget"
    RENEWAL_FAILED = "renewal_failed"
    TURNED_AWAY = "turned_away"
    LEAK = "leak"
    ASKED = "asked"
    SOURCE_ERROR = "source_error"


_counts: Counter[tuple[str, Event]] = Counter()
_last_logged: dict[tuple[str, str], float] = {}
_lock = new_lock()


def count(event: Event, fragment: str = "", times: int = 1) -> None:
    """Count ``event`` for a fragment; the empty name stands for the cache as a whole."""
    if times:
        with _lock:
            _counts[fragment, event] += times


def degrade(
    event: Event, fragment: str, cause: str, message: str, *values: object, times: int = 1
) -> None:
    """Count an outcome that is worse than it should be, and log it once a minute per cause."""
    count(event, fragment, times)
    if degraded.receivers:  # optimisation: mostly nobody listens
        degraded.send_robust(event, event=event, fragment=fragment, cause=cause, times=times)
    now = time.monotonic()
    with _lock:
        if now - _last_logged.get((fragment, cause), -LOG_INTERVAL) < LOG_INTERVAL:
            return
        _last_logged[fragment, cause] = now
    logger.warning(message, *values, extra={"fragment": fragment, "cause": cause})


def totals() -> dict[tuple[str, Event], int]:
    """Return a copy of the counts since the process began or ``reset``."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Forget all counts and when what was logged."""
    with _lock:
        _counts.clear()
        _last_logged.clear()
