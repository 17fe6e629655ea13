"""Threads of a test: those whose failures are the test's, and those that are in the way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def at_once(call: Callable[[], T], threads: int) -> list[T]:
    """Return what a call gives in each of so many threads at the same time."""
    with ThreadPoolExecutor(threads) as pool:
        return [made.result() for made in [pool.submit(call) for _ in range(threads)]]


@contextmanager
def awaited_threads(seconds: float = 10) -> Iterator[None]:
    """At the end of the block the threads that were begun in it are waited for."""
    others = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - others:
        thread.join(seconds)


@contextmanager
def busy_threads(seconds: float = 0.02) -> Iterator[None]:
    """Threads keep the interpreter busy within the block; each has it for so long at a time."""
    is_over = threading.Event()
    interval = sys.getswitchinterval()

    def work() -> None:
        while not is_over.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=work) for _ in range(2)]
    sys.setswitchinterval(seconds)
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
