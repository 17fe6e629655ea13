"""The clock of a simulated world: time passes when it is told to, and no reading of it is equal."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from django.utils import timezone

SECOND = 1_000_000
_real_now = timezone.now
_real_time_ns = time.time_ns
_real_monotonic = time.monotonic
_real_counter = time.perf_counter_ns
_real_sleep = time.sleep


class Clock:
    """What ``time`` and Django's ``timezone.now`` tell a simulated process while one runs.

    Others, such as the libraries that test, are told the true time.
    """

    def __init__(self) -> None:
        self._began = _real_time_ns() // 1000
        self.restart()

    def restart(self) -> None:
        """Begin anew, a day after the machine's own time."""
        #: The true time of the world, in microseconds since 1970.
        self.now = self._began + 86_400 * SECOND
        #: Microseconds by which the clock of the process that runs is ahead; None if none runs.
        self.ahead: int | None = None

    def tick(self) -> int:
        """Return the true time, later than at any former call."""
        self.now += 1
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        with (
            patch.object(time, "time_ns", self._time_ns),
            patch.object(time, "monotonic", self._monotonic),
            patch.object(time, "perf_counter_ns", self._perf_counter_ns),
            patch.object(time, "sleep", self._sleep),
            patch.object(timezone, "now", self._datetime),
        ):
            yield

    def _time_ns(self) -> int:
        return _real_time_ns() if self.ahead is None else (self.tick() + self.ahead) * 1000

    def _monotonic(self) -> float:
        if self.ahead is None:
            return _real_monotonic()
        return (self.tick() - self._began) / SECOND

    def _perf_counter_ns(self) -> int:
        return _real_counter() if self.ahead is None else self.tick() * 1000

    def _sleep(self, seconds: float) -> None:
        _real_sleep(seconds) if self.ahead is None else self.advance(seconds)

    def _datetime(self) -> dt.datetime:
        return _real_now() if self.ahead is None else moment(self.tick() + self.ahead)


def moment(microseconds: int) -> dt.datetime:
    """Return microseconds since 1970 UTC as a datetime, exactly."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)
