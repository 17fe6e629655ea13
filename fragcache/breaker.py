"""The circuit breaker: a cache that has failed is left alone until it answers again.

As in Nygard, "Release It!", but for one thing: no visitor pays for finding out whether it does. A
thread asks, one for each process, at once and then in growing intervals with jitter. So a server
that only stalled is used again as soon as it answers.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from fragcache.chance import new_random
from fragcache.locks import new_lock

logger = logging.getLogger("fragcache")

#: Failures in a row that open it; one where the cache was waited for in vain.
FAILURES: Final = 3
#: Seconds without any answer after which calls that had little time are failures as well.
DOUBT: Final = 0.5
#: Seconds between two probes, after the first one, which is at once, and at most.
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 2.0
#: Seconds after which one that opens again is probed at once; sooner, after the last pause: what
#: answers a probe may be too slow for pages all the same.
CALM: Final = 10.0
#: By what part a pause is longer or shorter, so that processes do not all ask at once.
JITTER: Final = 0.25
_random: Final = new_random()


class Breaker:
    """Closed while a cache answers; ``probe`` returns normally once it does again."""

    def __init__(
        self,
        name: str,
        probe: Callable[[], object],
        tell: Callable[[datetime, bool], object] = lambda _since, _is_open: None,
    ) -> None:
        """``tell`` is told by the asking thread since when it is open, and whether it still is."""
        self._name = name
        self._probe = probe
        self._tell = tell
        self._lock = new_lock()
        self._failures = 0
        self._doubted_since: float | None = None
        #: When it last answered, in ``time.monotonic()``.
        self._answered_at = 0.0
        self._pause = 0.0
        self._closed_at = -CALM
        self._prober: threading.Thread | None = None
        #: Ends the pause before the next probe.
        self._hurry = threading.Event()
        #: When it opened last, in ``time.monotonic()``.
        self.opened_at = 0.0
        #: The same as a date; None while it is closed.
        self.open_since: datetime | None = None

    def allows(self) -> bool:
        """Whether the cache may be asked."""
        if self.open_since is None:
            return True
        self._see_to_prober()
        return self.open_since is None

    def succeed(self) -> None:
        """Note that the cache has answered."""
        self._answered_at = time.monotonic()
        if self._failures or self._doubted_since is not None:
            self._failures, self._doubted_since = 0, None

    def doubt(self) -> None:
        """Note that a call which had little time for it got no answer.

        Many threads may be kept waiting by one short stall of a healthy server.
        """
        with self._lock:
            now = time.monotonic()
            if self._doubted_since is None:
                self._doubted_since = now
            if now - self._doubted_since < DOUBT:
                return
        self.fail(was_waited_for=True)

    def has_answered_since(self, moment: float) -> bool:
        """Whether anybody got an answer after that moment in ``time.monotonic()``."""
        return self._answered_at > moment

    def fail(self, *, was_waited_for: bool) -> None:
        """Note a failure; ``was_waited_for``: it took as long as a call may take, as for all."""
        with self._lock:
            self._failures += 1
            if self.open_since is not None:
                return
            if self._failures < FAILURES and not was_waited_for:
                return
            self.opened_at = time.monotonic()
            if self.opened_at - self._closed_at >= CALM:
                self._pause = 0.0
            self.open_since = datetime.now(UTC)
        logger.warning("The guard of %s is open: it is not asked until it answers.", self._name)
        self._see_to_prober()

    def hasten(self) -> None:
        """Let the next probe be now: what it waited for has happened."""
        self._hurry.set()

    def close(self) -> None:
        """Let the cache be asked again."""
        with self._lock:
            self._failures, self._doubted_since = 0, None
            self._closed_at = time.monotonic()
            since, self.open_since = self.open_since, None
        if since is not None:
            seconds = (datetime.now(UTC) - since).total_seconds()
            logger.warning("The guard of %s is closed after %.1f s.", self._name, seconds)

    def _see_to_prober(self) -> None:
        """Start the thread that asks, where there is none: after a fork it is the parent's."""
        with self._lock:
            if self._prober is not None and self._prober.is_alive():
                return
            self._hurry = threading.Event()
            self._prober = threading.Thread(
                target=_ask,
                args=(weakref.ref(self), self._hurry),
                name=f"fragcache guard of {self._name}",
                daemon=True,
            )
            # The machine may have no thread to spare: who comes next tries again.
            with suppress(RuntimeError):
                self._prober.start()

    def next_pause(self) -> float:
        """Return the seconds until the next probe; the one after that is longer."""
        pause, self._pause = self._pause, min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        return pause * _random.uniform(1 - JITTER, 1 + JITTER)

    def try_to_close(self) -> bool:
        """Ask the cache, and close if it answers; return whether it does."""
        since = self.open_since
        try:
            self._probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the cache does not answer
            logger.debug("%s does not answer: %s", self._name, error)
            self.tell()
            return False
        self.close()
        if since is not None:
            self._tell(since, False)
        return True

    def tell(self) -> None:
        """Tell others that it is open, if it is."""
        if (since := self.open_since) is not None:
            self._tell(since, True)


def _ask(of: weakref.ref[Breaker], hurry: threading.Event) -> None:
    """Try to close a breaker until it is closed, or nobody has it any more."""
    if (breaker := of()) is not None:
        breaker.tell()
    while (breaker := of()) is not None:
        pause = breaker.next_pause()
        del breaker
        if hurry.wait(pause):
            hurry.clear()
        breaker = of()
        if breaker is None or breaker.open_since is None or breaker.try_to_close():
            return
        del breaker
