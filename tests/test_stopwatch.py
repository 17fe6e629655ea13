"""The stopwatch of the tests: the code counts, a machine that stands still does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.stopwatch import Stopwatch

#: A process that is stopped for a while in the middle of a block, or just before its end.
STOPPED = """
import subprocess, time
from tests.stopwatch import Stopwatch

with Stopwatch() as watch:
    subprocess.run(["sh", "-c", "kill -STOP $PPID; sleep 0.5; kill -CONT $PPID"], check=True)
    time.sleep({after})
print(watch.elapsed, watch.seconds)
"""


def work() -> None:
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        pass


@pytest.mark.parametrize("take", [lambda: time.sleep(0.3), work], ids=["waiting", "working"])
def test_what_the_code_takes_counts(take: Callable[[], None]) -> None:
    assert any(seconds_of(take) >= 0.25 for _attempt in range(3))


def seconds_of(take: Callable[[], None]) -> float:
    with Stopwatch() as watch:
        take()
    assert watch.elapsed >= watch.seconds
    return watch.seconds


@pytest.mark.parametrize("after", [0.1, 0])
def test_standing_still_does_not_count(after: float) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED.format(after=after)],
        capture_output=True,
        text=True,
        check=True,
    )
    elapsed, seconds = map(float, done.stdout.split())
    assert elapsed >= 0.5
    assert seconds <= elapsed - 0.4
