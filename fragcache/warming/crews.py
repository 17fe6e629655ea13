"""Crews: who does the units of a run. This process alone, or several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.warming.allowance import Allowance, Bounds
from fragcache.warming.units import Outcome, Unit, warm

#: A unit and what became of it; an exception is the fragment's as a whole.
Done = tuple[Unit, Outcome | Exception]
OnDue = Callable[[Fragment, Instance], None]


class Crew(Protocol):
    """Takes units and hands back what was done, in any order."""

    def at_work(
        self, bounds: Bounds, on_due: OnDue | None, is_stopped: Callable[[], bool]
    ) -> AbstractContextManager[Crew]:
        """Return a context in which units are done, within the bounds.

        ``on_due``, if any, is called with the fragment and each instance that is due;
        ``is_stopped`` is asked now and then, and ends what is waiting.
        """

    def submit(self, unit: Unit) -> Iterator[Done]:
        """Take a unit; yield what has been done meanwhile. It blocks while there is no room."""

    def finish(self, *, is_ended: bool = False) -> Iterator[Done]:
        """Yield the rest of what was submitted; with ``is_ended`` only what was begun."""


class Alone:
    """This process, one unit after the other."""

    @contextmanager
    def at_work(
        self, bounds: Bounds, on_due: OnDue | None, is_stopped: Callable[[], bool]
    ) -> Iterator[Crew]:
        self._allowance = Allowance(bounds, is_stopped=is_stopped)
        self._on_due = on_due
        yield self

    def submit(self, unit: Unit) -> Iterator[Done]:
        yield unit, warm(unit, self._allowance, self._on_due)

    def finish(self, *, is_ended: bool = False) -> Iterator[Done]:
        yield from ()
