"""Runs that are killed at any moment, and what must be true afterwards."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path
from typing import Any

from tests.cutter import Cutter
from tests.lines import LineProcess
from tests.shop import NUMBERS
from tests.stopwatch import Stopwatch
from tests.test_warm_processes import Shop

BATCH = 4
ARGUMENTS = ("shop.offer", "--batch-size", str(BATCH))
#: Seconds that a killed run's lock in the cache lives; Memcached counts in whole ones.
LOCK_LIFE = "0.3"


class Stem(LineProcess):
    """A process that forks runs; a context manager."""

    def __init__(self, shop: Shop, lock: str, directory: Path) -> None:
        environment = shop.environment | {"SHOP_LOCK": lock, "SHOP_LOCK_LIFE": LOCK_LIFE}
        super().__init__("tests.stem", environment)
        self._is_freed_at_once = lock != "cache"
        self._directory = directory
        self._prefix = ""

    def count_steps(self) -> int:
        """Return of how many steps a run consists that nobody kills."""
        self._begin()
        run = self._warm("first")
        assert (run["code"], run["document"]["totals"]["stored"]) == (0, NUMBERS), run
        steps: int = run["steps"]
        return steps

    def count_bytes(self, cutter: Cutter) -> int:
        """Return how many bytes such a run sends through a relay."""
        self.count_steps()  # the first one sends its scripts to a Redis that lacks them
        before = cutter.passed
        self.count_steps()
        return cutter.passed - before

    def check_kill_at(self, step: int) -> bool:
        """Kill a run at a step of its own, and check what becomes of it.

        Return whether it came so far: a reply may arrive in one part more or less.
        """
        self._begin()
        return self._check(self._warm("first", step))

    def check_kill_after(self, sent: int, cutter: Cutter) -> bool:
        """Kill a run when so many of its bytes have passed, in the middle of a command perhaps."""
        self._begin()
        cutter.victim = lambda: int(self._log("first").with_suffix(".pid").read_text())
        cutter.left = sent
        first = self._warm("first")
        cutter.left = None
        return self._check(first)

    def _check(self, first: dict[str, Any]) -> bool:
        """Check what a killed run left, and what the next one makes of it."""
        assert first in ({"signal": signal.SIGKILL}, first | {"code": 0}), first
        with Stopwatch() as watch:
            left = self._inspect()
            second = self._warm("second", None, "--wait", "10")
        assert (left["torn"], left["absent"], left["no entries"]) == (0, 0, 0), left
        assert left["shown"] == [str(n) for n in range(NUMBERS)]
        if self._is_freed_at_once:
            assert not left["is locked"]
        assert watch.seconds < 4, "the lock was held for too long"
        assert second["code"] == 0, second
        self._check_counts(left, second["document"]["totals"])

        third = self._warm("third", None, "--check")
        assert (third["code"], third["err"]) == (0, ""), third
        after = self._inspect()
        assert after == left | {"heads": NUMBERS, "is locked": False}
        return "signal" in first

    def _check_counts(self, left: dict[str, Any], totals: dict[str, int]) -> None:
        first, second = self._rendered("first"), self._rendered("second")
        assert len(set(first) & set(second)) <= BATCH, "more than a batch was repeated"
        assert sorted(set(first) | set(second)) == list(range(NUMBERS))
        assert len(set(second)) == len(second) == totals["rendered"] == totals["stored"]
        assert totals["fresh"] == left["heads"] == NUMBERS - len(second)
        assert (totals["planned"], totals["failed"], totals["refused"]) == (NUMBERS, 0, 0)

    def _begin(self) -> None:
        self._prefix = uuid.uuid4().hex[:12]

    def _warm(self, name: str, last: int | None = None, *more: str) -> dict[str, Any]:
        return self._do("warm", name, arguments=[*ARGUMENTS, *more], last=last)

    def _inspect(self) -> dict[str, Any]:
        """Look as a page does that stores nothing."""
        return self._do("inspect", "looked", settings={"READ_ONLY": True})

    def _do(self, what: str, name: str, **task: Any) -> dict[str, Any]:
        task = {"settings": {}} | task
        task |= {"do": what, "prefix": self._prefix, "log": str(self._log(name))}
        return self.ask(task)

    def _rendered(self, name: str) -> list[int]:
        log = self._log(name)
        lines = log.read_text().splitlines() if log.exists() else []
        return [int(line.split()[0]) for line in lines]

    def _log(self, name: str) -> Path:
        return self._directory / f"{self._prefix}-{name}"


def points(steps: int, number: int) -> list[int]:
    """Return so many steps, evenly spaced from the first to the last."""
    return [1 + round(i * (steps - 1) / (number - 1)) for i in range(number)]
