"""Compounds: happenings in the midst of others, so that what belongs together comes together."""

from __future__ import annotations

from typing import NamedTuple

from tests.truth import events, visiting
from tests.truth.happenings import Happening
from tests.truth.site import Cell, Shown
from tests.truth.world import World


class Interrupt(NamedTuple):
    """Something happens in the midst of what comes next, after so many exchanges with servers."""

    gap: int
    event: Happening

    def occur(self, world: World) -> None:
        world.plan(self.gap, lambda: self.event.occur(world))


class Interrupted(NamedTuple):
    """Something happens in the midst of something else."""

    gap: int
    event: Happening
    operation: Happening

    def occur(self, world: World) -> None:
        world.plan(self.gap, lambda: self.event.occur(world))
        self.operation.occur(world)


class SlowPage(NamedTuple):
    """A page of which a view loads objects first, and the answer takes its time."""

    process: int
    kind: str
    before: list[Happening]
    shown: Shown | None
    after: list[Happening]

    def occur(self, world: World) -> None:
        visit = visiting.open_page(world, world.process(self.process))
        if visit is None:
            return
        visiting.load(world, visit, self.kind)
        for event in self.before:
            event.occur(world)
        if visit in world.visits:
            visiting.read(world, visit, self.shown or world.subject)
        for event in self.after:
            event.occur(world)
        if visit in world.visits:
            visiting.close_page(world, visit)


class SlowTransaction(NamedTuple):
    """A transaction that changes a row early, and ends late."""

    process: int
    number: int
    cell: Cell | None
    meanwhile: list[Happening]
    is_kept: bool

    def occur(self, world: World) -> None:
        process = world.process(self.process)
        opened = events.begin(world, process, in_visit=False, is_reading=False)
        if opened is None:
            return
        cell = self.cell or world.cell(self.number)
        events.write(world, process, cell, "save", opened)
        for event in self.meanwhile:
            event.occur(world)
        if opened in world.transactions:
            events.end(world, opened, is_kept=self.is_kept)
