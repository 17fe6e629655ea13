"""Happenings: each event as a value, which says who does what, and prints as it is written.

Numbers choose among what there is, so that any of them is good at any time. None, in place of what
is shown or of a row, is what the operation that is interrupted shows, or most events are about.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from hypothesis import strategies as st

from tests.truth import events, visiting
from tests.truth.site import SHOWN, Cell, Shown
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
        if shown in visiting.WARMED:
            visiting.read_on_target(world, shown)


class Warm(NamedTuple):
    process: int
    shown: Shown | None
    changed: bool

    def occur(self, world: World) -> None:
        shown = self.shown or world.subject
        if shown in visiting.WARMED:
            process = world.process(self.process)
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
        events.lose(world, self.kind, self.number, is_all=self.is_all)


class Pause(NamedTuple):
    seconds: float

    def occur(self, world: World) -> None:
        events.pause(world, self.seconds)


class StepClock(NamedTuple):
    #: None: that of the database.
    process: int | None
    ahead: int

    def occur(self, world: World) -> None:
        process = None if self.process is None else world.process(self.process)
        events.step_clock(world, process, self.ahead)


class Kill(NamedTuple):
    """A process is gone; the one whose turn it is, if any is in the midst of something."""

    process: int

    def occur(self, world: World) -> None:
        events.kill(world, world.process(self.process))


class Deploy(NamedTuple):
    process: int

    def occur(self, world: World) -> None:
        events.deploy(world, world.process(self.process))


class Rotate(NamedTuple):
    process: int

    def occur(self, world: World) -> None:
        events.rotate(world, world.process(self.process))


class Restart(NamedTuple):
    """The cache server is empty."""

    def occur(self, world: World) -> None:
        events.restart(world)


class Interrupt(NamedTuple):
    """Something happens in the midst of what comes next, after so many exchanges with servers."""

    gap: int
    event: Happening

    def occur(self, world: World) -> None:
        world.plan(self.gap, lambda: self.event.occur(world))


def _of(kind: type[Happening], *fields: st.SearchStrategy[object]) -> st.SearchStrategy[Happening]:
    return st.builds(kind, *fields)


_N = st.integers(0, 5)
_FLAG = st.booleans()
_NONE = st.none()
_WAY = st.sampled_from(events.WAYS)
_KIND = st.sampled_from(["session", "band", "artist"])
_LOST = st.sampled_from(["entry", "head", "token", "manifest", "lease"])
_PAUSE = st.sampled_from(events.PAUSES)
_AHEAD = st.sampled_from(events.STEPS)
PLACES = st.sampled_from(SHOWN)
_SHOWN = st.one_of(_NONE, _NONE, PLACES)
_CELL = st.one_of(_NONE, _NONE, st.sampled_from(events.CELLS))

_WRITE = _of(Write, _N, _CELL, _WAY)
_PAGES = (
    _of(BeginPage, _N, _SHOWN),
    _of(WholePage, _N, _SHOWN),
    _of(Read, _N, _SHOWN),
    _of(OpenPage, _N, _KIND),
    _of(ClosePage, _N),
)
_IN_THE_MIDST = st.one_of(
    *(_WRITE,) * 3,
    _of(End, _N, _FLAG),
    _of(WholePage, _N, _NONE),
    _of(Warm, _N, _NONE, _FLAG),
    _of(Evict, _LOST, _N, _FLAG),
    _of(Push, _N, _NONE, _FLAG, _FLAG),
    _of(Pause, _PAUSE),
    _of(Kill, _N),
)
_TROUBLE = st.one_of(
    _of(StepClock, st.one_of(_NONE, _N), _AHEAD),
    _of(Kill, _N),
    _of(Deploy, _N),
    _of(Rotate, _N),
    _of(Restart),
)

#: What happens often stands there several times.
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    _of(Pause, _PAUSE),  # the simplest example is as many of the first
    *(_WRITE,) * 2,
    *(_of(WriteInTransaction, _N, _N, _CELL, _WAY),) * 2,
    *_PAGES * 2,
    *(_of(Interrupt, st.integers(0, 5), _IN_THE_MIDST),) * 4,
    *(_of(Warm, _N, _SHOWN, _FLAG),) * 2,
    _of(Begin, _N, _FLAG, _FLAG),
    _of(End, _N, _FLAG),
    _of(Enlist, _N, st.sampled_from(events.MUSICIANS)),
    _of(Load, _N, _KIND),
    _of(ReadOnTarget, _SHOWN),
    _of(Push, _N, _SHOWN, _FLAG, _FLAG),
    _of(Evict, _LOST, _N, _FLAG),
    _TROUBLE,
)
