"""Deadlines: until when a call of the cache may take, whatever it waits for.

A socket's time-out is none: it begins anew with every byte that arrives.
"""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Final

#: Seconds past the deadline in which what has arrived already is still read: a thread that had to
#: wait for a processor has not been kept waiting by the server.
GRACE: Final = 0.1


@dataclass(slots=True)
class Deadline:
    """When waiting ends, and whether the server was late; in force while its block is entered."""

    #: In ``time.monotonic()``.
    until: float
    #: Whether bytes were there when the time was used up.
    was_answering: bool = False
    _reset: Token[Deadline | None] | None = field(default=None, init=False)

    @property
    def left(self) -> float:
        """The seconds that are left, not less than 0."""
        return max(0.0, self.until - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether not even what has arrived may be read any more."""
        return time.monotonic() >= self.until + GRACE

    def __enter__(self) -> Deadline:
        self._reset = _current.set(self)
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._reset is not None
        _current.reset(self._reset)


_current: ContextVar[Deadline | None] = ContextVar("fragcache_deadline", default=None)


def current() -> Deadline | None:
    """Return the deadline in force."""
    return _current.get()


def within(seconds: float) -> Deadline:
    """Return a deadline in so many seconds, for all that waits in its ``with``."""
    return Deadline(time.monotonic() + seconds)
