"""Stories that the machine leaves out: some that end well, and where promise T1 ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from fragcache import get_fragment
from tests.studio.models import Musician
from tests.truth import events, visiting
from tests.truth.compounds import Interrupt
from tests.truth.happenings import (
    Begin,
    Happening,
    Load,
    OpenPage,
    StepClock,
    WholePage,
    Write,
    WriteInTransaction,
)
from tests.truth.running import world
from tests.truth.site import (
    ARTIST,
    MUSICIANS,
    SESSIONS,
    SHOWN,
    Shown,
    primary_key,
)
from tests.truth.truth import content
from tests.truth.world import World

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.server("postgresql"),
    pytest.mark.server("redis"),
    pytest.mark.leases,
]
AHEAD = 2_000_000
PLACES = {shown.fragment: shown for shown in reversed(SHOWN)}
SESSION, EAGER = PLACES["truth.session"], PLACES["truth.eager"]
ALL_MUSICIANS, PORTRAIT = PLACES["truth.musicians"], PLACES["truth.portrait"]


class Call(NamedTuple):
    """Something that happens in this module alone, and is committed."""

    call: Callable[[], object]

    def occur(self, site: World) -> None:
        site.run(site.processes[1], self.call)
        site.observe()


@pytest.fixture
def site(pytestconfig: pytest.Config) -> Iterator[World]:
    with world("redis", pytestconfig) as made:
        made.begin()
        yield made


def let(site: World, *happenings: Happening) -> None:
    for happening in happenings:
        happening.occur(site)


def ends(reason: str) -> Any:
    return pytest.mark.xfail(raises=AssertionError, strict=True, reason=reason)


def test_a_run_whose_items_carry_what_was_changed_meanwhile(site: World) -> None:
    for gap in range(6):
        let(site, Interrupt(gap, Write(1, ARTIST, "update")))
        visiting.warm(site, site.processes[0], ("truth.portrait",))
        visiting.whole_page(site, site.processes[2], PORTRAIT)


def test_a_page_that_shows_what_its_transaction_had_written(site: World) -> None:
    let(
        site,
        OpenPage(0, "session"),
        Begin(0, in_visit=True, is_reading=False),
        WriteInTransaction(0, 0, ARTIST, "update"),
        Load(0, "artist"),
    )
    roll_back_and_read(site, PORTRAIT)


def test_a_version_that_returns_while_the_databases_clock_is_behind(site: World) -> None:
    let(
        site,
        StepClock(None, AHEAD),
        Write(0, SESSIONS[0], "save"),
        StepClock(None, -AHEAD),
        OpenPage(0, "session"),
        Begin(0, in_visit=True, is_reading=False),
        WriteInTransaction(0, 0, SESSIONS[0], "save"),
        Load(0, "session"),
    )
    roll_back_and_read(site, SESSION)
    let(site, Write(1, SESSIONS[0], "save"))


@ends("a token that is made tells nothing of one that was replaced and lost")
def test_a_server_that_restarts_within_a_request_in_which_its_data_is_invalidated(
    site: World,
) -> None:
    let(site, OpenPage(0, "artist"), Write(1, ARTIST, "update"))
    site.server.lose(list(site.server.keys))
    visiting.read(site, site.visits[0], PORTRAIT)
    visiting.settle(site)


@ends("the version of a collection is the same when it is as it has been before")
def test_a_row_that_is_added_while_its_collection_is_rendered_and_deleted_then(
    site: World,
) -> None:
    pk = primary_key(MUSICIANS[2])
    add = Call(lambda: Musician.objects.create(pk=pk, name="x"))
    delete = Call(lambda: Musician.objects.filter(pk=pk).delete())
    for gap in range(6):
        let(site, Interrupt(gap, add), WholePage(0, ALL_MUSICIANS), delete)


@ends("for how long an entry has been stale is told by the last change, not by the first")
def test_what_is_shown_stale_is_not_older_than_declared(site: World) -> None:
    let(site, WholePage(0, EAGER), Write(1, SESSIONS[0], "save"))
    site.clock.advance(1800)
    let(site, Write(1, SESSIONS[0], "save"))
    visit = visiting.open_page(site, site.processes[0])
    assert visit is not None

    html = site.run(visit.process, lambda: get_fragment("truth.eager", 1), visit=visit)

    assert content(html).values[SESSIONS[0]] != "s1", "it has not been true for half an hour"


def roll_back_and_read(site: World, shown: Shown) -> None:
    """Let a page go on after its transaction, of whose objects it shows one."""
    [visit] = site.visits
    assert visit.transaction is not None
    events.end(site, visit.transaction, is_kept=False)
    visiting.read(site, visit, shown)
