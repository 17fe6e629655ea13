"""Collecting: a thread of each process writes what it has counted, every few seconds and at exit.

No page waits for that, and none lends its connection.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import multiprocessing.util
import os
import threading
import time
from typing import Final

from django.db import connections

from fragcache import conf
from fragcache.chance import new_random
from fragcache.stats import bypass, ledger, retention, totals
from fragcache.stats.keeping import database, keeper

logger = logging.getLogger("fragcache")

#: Seconds from one write to the next, of which each process takes a little more or less.
INTERVAL: Final = 10.0
#: Seconds for which the end of a process waits for its last write.
PATIENCE: Final = 3.0
_random: Final = new_random()


class Collector:
    """The thread of a process, which begins with the first thing that is counted."""

    def __init__(self) -> None:
        self.forget()
        if hasattr(os, "register_at_fork"):  # the parent's thread is not the child's
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin as a process without such a thread."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def begin(self) -> None:
        """Begin to collect, unless that goes on, or nothing is to be kept.

        Not in tests, whose databases come and go: those call ``stats.flush()``.
        """
        if self._thread is not None or conf.settings().STATS != "database" or conf.is_testing():
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="fragcache counts", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    logger.warning("Counts of this process are not kept: %s.", error)
                    return
                self._thread = thread
                atexit.register(self.end)
                if multiprocessing.parent_process() is not None:  # which does not end by atexit
                    multiprocessing.util.Finalize(None, self.end, exitpriority=1)

    def end(self) -> None:
        """Write what is left, and end; wait for that, but no longer than ``PATIENCE``."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._ending.set()
            thread.join(PATIENCE)

    def _run(self) -> None:
        tidy_at = time.monotonic() + _random.uniform(0, retention.INTERVAL)
        while True:
            is_last = self._ending.wait(INTERVAL * _random.uniform(0.8, 1.2))
            try:
                if database() is not None:
                    keeper.flush()
                    if not is_last and time.monotonic() >= tidy_at:
                        tidy_at = time.monotonic() + retention.INTERVAL
                        retention.tidy(int(time.time()))
                        totals.fold(int(time.time()))
                    bypass.refresh(ledger.unworthy)
            except Exception as error:
                logger.debug("Counts are not kept in order.", exc_info=error)
            finally:
                connections.close_all()
            if is_last:
                return


collector: Final = Collector()
