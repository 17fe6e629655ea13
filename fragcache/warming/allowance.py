"""What a run may cost: how many renders in all, how many a second, and until when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

#: Seconds of rendering between two looks at the clock, where a run is bounded by it.
PORTION: Final = 0.5
#: Seconds between two looks at whether the run is to end, while it waits for its pace.
_LOOK: Final = 0.1
#: What the time of the latest renders counts in the estimate of the next ones.
_WEIGHT: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds of a run; each is None where there is none."""

    #: The most instances to render.
    limit: int | None = None
    #: The most renders per second.
    rate: float | None = None
    #: ``time.monotonic()`` after which no render begins; all processes of a machine share it.
    deadline: float | None = None

    @property
    def is_over(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def shared_by(self, processes: int) -> Bounds:
        """Return the bounds of one of so many processes; the limit is counted for all of them."""
        return self if self.rate is None else replace(self, rate=self.rate / processes)


class Left(Protocol):
    """How many instances may still be rendered, as ``multiprocessing.Value`` keeps a number."""

    value: int

    def get_lock(self) -> AbstractContextManager[object]:
        """Return what its readers and writers enter."""


class Allowance:
    """Portions of what is due, as many and as large as the bounds allow.

    ``is_stopped`` is asked before each portion but the first of a batch, and while waiting for the
    pace.
    """

    def __init__(
        self,
        bounds: Bounds,
        left: Left | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._bounds = bounds
        self._left = _Count(bounds.limit) if left is None and bounds.limit is not None else left
        self.is_stopped = is_stopped
        self._free_at = 0.0
        #: Estimated seconds of one render.
        self._cost: float | None = None

    def portions(self, due: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield the parts of ``due`` that may be rendered, each when it may be."""
        at = 0
        while at < len(due) and (number := self._granted(len(due) - at, is_first=not at)):
            began = time.monotonic()
            yield due[at : at + number]
            at += number
            self._learn((time.monotonic() - began) / number)

    def give_back(self, number: int) -> None:
        """Take back what was granted and not rendered."""
        if self._left is not None and number:
            with self._left.get_lock():
                self._left.value += number

    def _granted(self, wanted: int, *, is_first: bool) -> int:
        number = min(wanted, self._portion())
        if not self._waited(number, is_first=is_first):
            return 0
        if self._left is None:
            return number
        with self._left.get_lock():
            number = min(number, self._left.value)
            self._left.value -= number
        return number

    def _portion(self) -> int:
        """Return how many are rendered before the clock is looked at again."""
        sizes = []
        if self._bounds.rate is not None:
            sizes.append(self._bounds.rate * PORTION)
        if self._bounds.deadline is not None:
            seconds = min(PORTION, self._bounds.deadline - time.monotonic())
            sizes.append(1 if self._cost is None else seconds / max(self._cost, 1e-6))
        return max(1, int(min(sizes))) if sizes else 2**31

    def _waited(self, number: int, *, is_first: bool) -> bool:
        """Wait until ``number`` more keep the pace; return whether they may be rendered then."""
        while not self._bounds.is_over:
            missing = self._free_at - time.monotonic()
            # A batch that was begun is finished, unless it would have to wait.
            if self.is_stopped() and not (is_first and missing <= 0):
                return False
            if missing <= 0:
                if self._bounds.rate is not None:
                    self._free_at = time.monotonic() + number / self._bounds.rate
                return True
            time.sleep(min(missing, _LOOK))
        return False

    def _learn(self, cost: float) -> None:
        former = cost if self._cost is None else self._cost
        self._cost = former + _WEIGHT * (cost - former)


class _Count:
    """The ``Left`` of a process that works alone."""

    def __init__(self, value: int) -> None:
        self.value = value
        self._lock = threading.Lock()

    def get_lock(self) -> AbstractContextManager[object]:
        return self._lock
