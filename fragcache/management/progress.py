"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from django.core.management.base import OutputWrapper
from tqdm import tqdm

from fragcache.declarations import Fragment
from fragcache.warming import Plan
from fragcache.warming.extents import extents

#: Seconds between two plain lines.
INTERVAL: Final = 10.0


class Progress:
    """A context manager whose ``advance`` is told of each batch.

    ``size`` returns how many instances there are in all, None where that is not cheap;
    ``is_wanted`` None: on a terminal only.
    """

    def __init__(
        self,
        out: OutputWrapper,
        size: Callable[[], int | None],
        *,
        is_wanted: bool | None,
        verbosity: int,
    ) -> None:
        self._out = out
        self._size = size
        is_terminal = out.isatty()
        # From 2 on each instance is named, which no bar is to be drawn between.
        is_usual = is_terminal and verbosity == 1
        self._is_shown = verbosity > 0 and (is_usual if is_wanted is None else is_wanted)
        self._bar: tqdm[Any] | None = None
        self._is_terminal = is_terminal
        self._walked = 0
        self._total: int | None = None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if not self._is_shown:
            return self
        self._total = self._size()
        if self._is_terminal:
            canvas = _Canvas(self._out)
            self._bar = tqdm(total=self._total, unit="fragment", leave=False, file=canvas)
        return self

    def advance(self, fragment: Fragment, walked: int) -> None:
        self._walked += walked
        if self._bar is not None:
            self._bar.set_description(fragment.name)
            self._bar.update(walked)
        elif self._is_shown and time.monotonic() - self._said >= INTERVAL:
            self._said = time.monotonic()
            self._out.write(f"{fragment.name}: {self._so_far()}", style_func=str)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _so_far(self) -> str:
        """Say how many were walked, how fast, and how long the rest will take."""
        rate = self._walked / (self._said - self._began)
        if self._total is None:
            return f"{self._walked:,} walked so far, {rate:,.0f} a second"
        left = tqdm.format_interval(max(0, self._total - self._walked) / rate) if rate else "?"
        return f"{self._walked:,} of {self._total:,} walked, {rate:,.0f} a second, {left} left"


def size_of_all(plan: Plan) -> int | None:
    """Return how many instances a plan has in all; None where that is not cheap."""
    if plan.changed:
        return None
    found = sizes(plan).values()
    return None if None in found else sum(size for size in found if size)


def sizes(plan: Plan) -> dict[str, int | None]:
    """Return how many instances a plan has of each fragment; None where that is not cheap."""
    return {
        name: None if extent is None else extent.entries for name, extent in extents(plan).items()
    }


class _Canvas:
    """The stream of a command, without the colours and line ends that it adds."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out

    def write(self, text: str) -> None:
        self._out.write(text, style_func=str, ending="")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)
