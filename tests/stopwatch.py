"""How long something takes, without what the machine itself stood still for meanwhile."""

from __future__ import annotations

import threading
from time import perf_counter
from types import TracebackType

#: Seconds between two looks of a thread that does nothing else, and by how much it must come late
#: for a stall: one that waits for its turn among busy threads is a few milliseconds late.
GLANCE = 0.02
STALL = 0.1


class Stopwatch:
    """Times a block; a context manager.

    ``seconds`` is for what must not take longer: a virtual machine that is not given a processor
    keeps everybody waiting. ``elapsed`` is for what must not take less.
    """

    def __enter__(self) -> Stopwatch:
        self._stalled = 0.0
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._began = perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = perf_counter()
        self._is_over.set()
        self._watcher.join()

    @property
    def elapsed(self) -> float:
        return self._ended - self._began

    @property
    def seconds(self) -> float:
        return self.elapsed - self._stalled

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            looked = perf_counter()
            is_over = self._is_over.wait(GLANCE)
            late = (self._ended if is_over else perf_counter()) - looked - GLANCE
            if late > STALL:
                self._stalled += late
