"""Deadlines: until when a call of the cache may take, whatever it waits for.

A socket's time-out is none: it begins anew with every byte that arrives.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

#: Seconds past the deadline in which what has arrived already is still read: a thread that had to
#: wait for a processor has not been kept waiting by the server.
GRACE: Final = 0.1


@dataclass(slots=True)
class Deadline:
    """When waiting ends, in ``time.monotonic()``, and whether it was the server that was late."""

    until: float
    #: Whether bytes were there when the time was used up.
    was_answering: bool = False

    @property
    def left(self) -> float:
        """The seconds that are left, not less than 0."""
        return max(0.0, self.until - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether not even what has arrived may be read any more."""
        return time.monotonic() >= self.until + GRACE


_current: ContextVar[Deadline | None] = ContextVar("fragcache_deadline", default=None)


def current() -> Deadline | None:
    """Return the deadline in force."""
    return _current.get()


@contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """Let what waits within wait for so many seconds in all."""
    deadline = Deadline(time.monotonic() + seconds)
    reset = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(reset)
