"""Signals stop the demo between two steps, never while a process is being started or stopped."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runner.errors import DemoError, Stopped

_received: list[int] = []


@contextmanager
def noted_signals() -> Iterator[None]:
    """Note signals that would end the process, for `wait_until` to act upon."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def note(signum: int, _frame: FrameType | None) -> None:
    _received.append(signum)


def wait_until(
    condition: Callable[[], bool], *, seconds: float = float("inf"), otherwise: str = ""
) -> None:
    """Wait for a condition.

    Raises:
        Stopped: a signal came.
        DemoError: with the message `otherwise`, when the seconds have passed.
    """
    end = time.monotonic() + seconds
    while not condition():
        if _received:
            raise Stopped(_received[0])
        if time.monotonic() > end:
            raise DemoError(otherwise)
        time.sleep(0.05)
