"""Happenings: each event as a value, which says who does what, and prints as it is written.

Numbers choose among what there is, so that any of them is good at any time. None, in place of what
is shown or of a row, is what the operation that is interrupted shows, or most events are about.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tests.truth import events, troubles, visiting
from tests.truth.site import Cell, Shown
from tests.truth.world import World


class Happening(Protocol):
    """What may happen at any time."""

    def occur(self, world: World) -> object: ...


class Write(NamedTuple):
    """A row is changed and committed."""

    process: int
    cell: Cell | None
    way: str

    def occur(self, world: World) -> None:
        cell = self.cell or world.cell(self.process)
        events.write(world, world.process(self.process), cell, self.way, None)


class WriteInTransaction(NamedTuple):
    transaction: int
    number: int
    cell: Cell | None
    way: str

    def occur(self, world: World) -> None:
        if opened := world.transaction(self.transaction):
            cell = self.cell or world.cell(self.number)
            events.write(world, opened.process, cell, self.way, opened)


class Begin(NamedTuple):
    process: int
    in_visit: bool
    is_reading: bool

    def occur(self, world: World) -> None:
        process, is_reading = world.process(self.process), self.is_reading and self.in_visit
        events.begin(world, process, in_visit=self.in_visit, is_reading=is_reading)


class End(NamedTuple):
    transaction: int
    is_kept: bool

    def occur(self, world: World) -> None:
        if opened := world.transaction(self.transaction):
            events.end(world, opened, is_kept=self.is_kept)


class Enlist(NamedTuple):
    process: int
    cell: Cell

    def occur(self, world: World) -> None:
        events.enlist(world, world.process(self.process), self.cell)


class OpenPage(NamedTuple):
    process: int
    kind: str

    def occur(self, world: World) -> None:
        visit = visiting.open_page(world, world.process(self.process))
        if visit is not None:
            visiting.load(world, visit, self.kind)


class Load(NamedTuple):
    visit: int
    kind: str

    def occur(self, world: World) -> None:
        if visit := world.visit(self.visit):
            visiting.load(world, visit, self.kind)


class Read(NamedTuple):
    visit: int
    shown: Shown | None

    def occur(self, world: World) -> None:
        if visit := world.visit(self.visit):
            visiting.read(world, visit, self.shown or world.subject)


class ClosePage(NamedTuple):
    visit: int

    def occur(self, world: World) -> None:
        if visit := world.visit(self.visit):
            visiting.close_page(world, visit)


class BeginPage(NamedTuple):
    process: int
    shown: Shown | None

    def occur(self, world: World) -> None:
        visit = visiting.open_page(world, world.process(self.process))
        if visit is not None:
            visiting.read(world, visit, self.shown or world.subject)


class WholePage(NamedTuple):
    process: int
    shown: Shown | None

    def occur(self, world: World) -> None:
        visiting.whole_page(world, world.process(self.process), self.shown or world.subject)


class ReadOnTarget(NamedTuple):
    shown: Shown | None

    def occur(self, world: World) -> None:
        shown = self.shown or world.subject
        if shown in visiting.ON_TARGETS:
            visiting.read_on_target(world, shown)


class Warm(NamedTuple):
    process: int
    shown: Shown | None
    changed: bool

    def occur(self, world: World) -> None:
        shown, process = self.shown or world.subject, world.process(self.process)
        visiting.warm(world, process, (shown.fragment,), changed=self.changed)


class Push(NamedTuple):
    process: int
    shown: Shown | None
    is_all: bool
    purge: bool

    def occur(self, world: World) -> None:
        shown, process = self.shown or world.subject, world.process(self.process)
        events.push(world, process, shown, is_all=self.is_all, purge=self.purge)


class Evict(NamedTuple):
    kind: str
    number: int
    is_all: bool

    def occur(self, world: World) -> None:
        troubles.lose(world, self.kind, self.number, is_all=self.is_all)


class Pause(NamedTuple):
    seconds: float

    def occur(self, world: World) -> None:
        troubles.pause(world, self.seconds)


class StepClock(NamedTuple):
    #: None: that of the database.
    process: int | None
    ahead: int

    def occur(self, world: World) -> None:
        process = None if self.process is None else world.process(self.process)
        troubles.step_clock(world, process, self.ahead)


class Kill(NamedTuple):
    """A process is gone; the one whose turn it is, if any is in the midst of something."""

    process: int

    def occur(self, world: World) -> None:
        troubles.kill(world, world.process(self.process))


class Deploy(NamedTuple):
    process: int

    def occur(self, world: World) -> None:
        troubles.deploy(world, world.process(self.process))


class Rotate(NamedTuple):
    process: int

    def occur(self, world: World) -> None:
        troubles.rotate(world, world.process(self.process))


class Restart(NamedTuple):
    """The cache server is empty."""

    def occur(self, world: World) -> None:
        troubles.restart(world)
