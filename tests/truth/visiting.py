"""Events of those who show fragments: pages in their steps, runs of warming, a target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from fragcache import get_fragment, get_fragments, page
from fragcache.digests import digest_of
from fragcache.warming import Plan, Run, Status
from tests.library.models import Artist
from tests.studio.models import Band, Session
from tests.truth.events import end, settle_debts
from tests.truth.process import Process, Visit
from tests.truth.site import BAND, SHOWN, Portrait, Shown
from tests.truth.world import MOST_VISITS, World

#: What is warmed, and what a target may ask for, which has no objects of the site's own.
FRAGMENTS = tuple(dict.fromkeys(shown.fragment for shown in SHOWN))
ON_TARGETS = tuple(shown for shown in SHOWN if shown.fragment != "truth.portrait")


def open_page(world: World, process: Process) -> Visit | None:
    """Let a request begin."""
    if len(world.visits) >= MOST_VISITS:
        return None
    began = world.clock.tick()
    with process.running(world.clock):
        visit = Visit(process, page.of_request(), began)
    world.visits.append(visit)
    return visit


def load(world: World, visit: Visit, kind: str) -> None:
    """Let the view load objects of a kind."""

    def loaded() -> None:
        if kind == "artist":
            for pk, name in Artist.objects.order_by("pk").values_list("pk", "name"):
                visit.portraits[pk] = Portrait(pk, name)
            return
        model: Any = Band if kind == "band" else Session
        visit.loaded |= {(kind, row.pk): row for row in model.objects.order_by("pk")}

    world.run(visit.process, loaded, visit=visit, is_open=True)


def read(world: World, visit: Visit, shown: Shown) -> None:
    """Let the page show an instance."""
    if shown.fragment == "truth.portrait" and shown.pk not in visit.portraits:
        load(world, visit, "artist")
        if shown.pk not in visit.portraits:
            return  # it was killed
    asked = world.clock.tick()
    html = world.run(
        visit.process,
        lambda: get_fragment(shown.fragment, *_arguments(shown, visit)),
        visit=visit,
        is_open=True,
        subject=shown,
    )
    if html is not None:
        world.judge.look_at_page(shown, html, visit, asked, world.clock.tick())


def close_page(world: World, visit: Visit) -> None:
    """Let the answer be sent, and what was left for later be done."""
    if visit.transaction is not None:
        end(world, visit.transaction, is_kept=True)
    if visit in world.visits:
        world.visits.remove(visit)
        world.run(visit.process, visit.page.finish, is_open=True, began=visit.began)


def whole_page(world: World, process: Process, *some: Shown) -> None:
    """Let a request begin, show, and end."""
    visit = open_page(world, process)
    if visit is None:
        return
    for shown in some:
        if visit in world.visits:
            read(world, visit, shown)
    if visit in world.visits:
        close_page(world, visit)


def warm(world: World, process: Process, names: tuple[str, ...], *, changed: bool = False) -> Any:
    """Warm fragments; return how that ended, None if the process was killed."""
    fragments = [process.release.fragments[name] for name in names]
    began = world.clock.tick()

    def run() -> tuple[Status, dict[str, str]]:
        report = Run(Plan(fragments=fragments, changed=changed)).execute()
        return report.status, {fragment.name: digest_of(fragment) for fragment in fragments}

    done = world.run(process, run, is_open=True)
    if done is None:
        return None
    status, digests = done
    if status is Status.OK:
        world.judge.note_warmed(digests, began)
    return status


def read_on_target(world: World, shown: Shown) -> str | None:
    """Return what a site shows that only reads."""
    arguments = () if shown.pk is None else (shown.pk,)
    html: str | None = world.run(
        world.target, lambda: get_fragment(shown.fragment, *arguments, default=None), is_open=True
    )
    world.judge.look_at_target(shown, html, world.clock.tick())
    return html


def settle(world: World) -> None:
    """Let all come to its end, and time pass; then everything shown is true."""
    world.planned.clear()
    for transaction in list(world.transactions):
        end(world, transaction, is_kept=True)
    for visit in list(world.visits):
        close_page(world, visit)
    settle_debts(world)
    world.server.lose(world.server.of_kind("lease"))
    world.clock.advance(61)
    for process in [*world.processes, world.new_process(world.releases[0])]:
        for shown, html in _all(world, process):
            world.judge.look_at_end(shown, html)
    assert warm(world, world.processes[0], FRAGMENTS) is Status.OK
    world.clock.advance(11)
    for shown in ON_TARGETS:
        world.judge.look_at_end(shown, read_on_target(world, shown))
    world.judge.look_at_all()


def _all(world: World, process: Process) -> Iterable[tuple[Shown, str]]:
    """Return what one page of a process shows of all there is."""
    visit = open_page(world, process)
    assert visit is not None
    load(world, visit, "artist")

    def read() -> list[tuple[Shown, str]]:
        return [
            (shown, html)
            for _fragment, group in groupby(SHOWN, key=lambda shown: shown.fragment)
            for shown, html in _group(list(group), visit)
        ]

    shown: list[tuple[Shown, str]] = world.run(process, read, visit=visit)
    close_page(world, visit)
    return shown


def _group(some: Sequence[Shown], visit: Visit) -> Iterable[tuple[Shown, str]]:
    arguments = [_arguments(shown, visit) for shown in some]
    return zip(some, get_fragments(some[0].fragment, arguments), strict=True)


def _arguments(shown: Shown, visit: Visit) -> tuple[Any, ...]:
    if shown.pk is None:
        return ()
    if shown.fragment == "truth.portrait":
        return (visit.portraits[shown.pk],)
    cell = BAND if shown.fragment == "truth.band" else shown.cells[0]
    return (visit.loaded.get(cell, shown.pk),)
