"""Threads of a test, whose failures are the test's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(call: Callable[[], T], threads: int) -> list[T]:
    """Return what a call gives in each of so many threads at the same time."""
    with ThreadPoolExecutor(threads) as pool:
        return [made.result() for made in [pool.submit(call) for _ in range(threads)]]
