"""Locks and forks: a child's locks are free, whatever the parent's threads were doing."""

from __future__ import annotations

import os
import threading
import warnings

import pytest

from fragcache.locks import new_lock


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_lock_that_another_thread_holds_is_free_in_a_child_and_consistent() -> None:
    lock, is_over = new_lock(), threading.Event()
    state = [0, 0]

    def work() -> None:
        while not is_over.is_set():
            with lock:
                state[0] += 1
                is_over.wait(0.0001)
                state[1] += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        codes = [fork_and_look(lock, state) for _fork in range(30)]
    finally:
        is_over.set()
        worker.join()
    assert set(codes) == {0}


def fork_and_look(lock: threading.Lock, state: list[int]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        pid = os.fork()
    if not pid:
        is_free = lock.acquire(timeout=1)
        os._exit(0 if is_free and state[0] == state[1] else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
