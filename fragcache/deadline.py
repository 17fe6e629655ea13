"""Deadlines: until when a call of the cache may take, whatever it waits for.

A socket's time-out is none: it begins anew with every byte that arrives. Nor does a clock tell who
was late: a thread that waited for a processor finds long ago what the server sent at once. What was
waited in vain is therefore counted by the waits of the kernel that ended without anything.
"""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Final

#: Seconds that are waited in vain before that counts; and, once, by a thread that comes too late.
SLOW: Final = 0.02
#: Seconds past the deadline in which what has arrived already is still read.
GRACE: Final = 1.0


@dataclass(slots=True)
class Deadline:
    """When waiting ends, and how much of it was in vain; in force while its block is entered."""

    #: In ``time.monotonic()``.
    until: float
    #: Seconds for which nothing came, although someone was waiting.
    in_vain: float = 0.0
    #: The same, and those until something came; None where no socket counts them.
    waited: float | None = None
    #: Whether a wait was given up.
    was_missed: bool = False
    _was_late: bool = False
    _reset: Token[Deadline | None] | None = field(default=None, init=False)

    @property
    def left(self) -> float:
        """The seconds that are left, not less than 0."""
        return max(0.0, self.until - time.monotonic())

    def first_wait(self) -> float:
        """Return for how many seconds to wait before it counts; 0 only looks.

        Raises:
            TimeoutError: not even what has arrived may be read any more.
        """
        past = time.monotonic() - self.until
        if past < 0:
            return SLOW
        if past > GRACE:
            raise self.missed()
        is_first, self._was_late = not self._was_late, True
        return SLOW if is_first else 0.0

    def count(self, seconds: float, elapsed: float, *, in_vain: bool = False) -> None:
        """Count seconds for which a socket waited; the rest of what has elapsed is given back."""
        self.waited = (self.waited or 0.0) + seconds
        self.until += max(0.0, elapsed - seconds)
        if in_vain:
            self.in_vain += seconds

    def missed(self) -> TimeoutError:
        """Return the error to raise where a wait is given up."""
        self.was_missed = True
        return TimeoutError("timed out")

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
