"""Crews: who does the units of a run. This process alone, or several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.warming.units import Outcome, Unit, warm

#: A unit and what became of it; an exception is the fragment's as a whole.
Done = tuple[Unit, Outcome | Exception]
OnDue = Callable[[Fragment, Instance], None]


class Crew(Protocol):
    """Takes units and hands back what was done, in any order."""

    def at_work(self, limit: int | None, on_due: OnDue) -> AbstractContextManager[Crew]:
        """Return a context in which units are done, and at most ``limit`` instances rendered.

        ``on_due`` is called with the fragment and each instance that is missing or stale.
        """

    def submit(self, unit: Unit) -> Iterator[Done]:
        """Take a unit; yield what has been done meanwhile. It blocks while there is no room."""

    def finish(self, *, is_ended: bool = False) -> Iterator[Done]:
        """Yield the rest of what was submitted; with ``is_ended`` only what was begun."""


class Alone:
    """This process, one unit after the other."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._on_due: OnDue = lambda _fragment, _instance: None

    @contextmanager
    def at_work(self, limit: int | None, on_due: OnDue) -> Iterator[Crew]:
        self._left, self._on_due = limit, on_due
        yield self

    def submit(self, unit: Unit) -> Iterator[Done]:
        before = self._left
        outcome = warm(unit, self._allowed, self._on_due)
        if before is not None:
            self._left = before - outcome.tally.rendered  # what failed does not count
        yield unit, outcome

    def finish(self, *, is_ended: bool = False) -> Iterator[Done]:
        yield from ()

    def _allowed(self, wanted: int) -> int:
        if self._left is None:
            return wanted
        granted = min(wanted, self._left)
        self._left -= granted
        return granted
