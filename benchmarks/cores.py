"""Processor cores: the servers get one, the pages another.

Left alone, a scheduler keeps client and server on one core or on two for as long as it likes, and
a round trip costs 10 or 60 microseconds accordingly: two runs would not say the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def usable() -> list[int]:
    """Return the cores that this process may use, none where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


@contextmanager
def apart() -> Iterator[None]:
    """Let what is started in the block run on the last core, and this process on the first."""
    cores = usable()
    if len(cores) < 2:
        yield
        return
    # Processes and their threads inherit it.
    os.sched_setaffinity(0, {cores[-1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {cores[0]})
