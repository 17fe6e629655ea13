"""Workers that are forked of one process do not do by chance what the others do."""

from __future__ import annotations

import os
import warnings

import pytest

from fragcache.breaker import Breaker


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_that_are_forked_do_not_probe_at_the_same_moments() -> None:
    breaker = Breaker("a cache", probe=lambda: None)
    breaker.next_pause()  # the first probe is at once, in all of them
    pauses = {pause_of_a_child(breaker) for _child in range(3)}
    assert len(pauses) == 3


def pause_of_a_child(breaker: Breaker) -> str:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        pid = os.fork()
    if not pid:
        os.write(writing, repr(breaker.next_pause()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as told:
        return told.read()
