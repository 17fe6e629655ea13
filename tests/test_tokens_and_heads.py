"""DESIGN.md, section 5, as three tables: what is stored, what is served, which head stays.

Each rule comes with the failure that it prevents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import caches

from fragcache import (
    Fragment,
    get_fragment,
    invalidate,
    invalidate_all,
    registry,
    token_copies,
)
from fragcache.entry import Entry, Kind
from fragcache.events import Event
from fragcache.keys import manifest_key
from fragcache.records import Head
from fragcache.store import store
from fragcache.token_memory import TokenName
from tests.fixtures import (
    Clock,
    RoundTrips,
    any_cache,
    elsewhere,
    happened,
    in_request,
    on_target,
    warm,
    without_local_cache,
)

pytestmark = without_local_cache

NAME = "library.stamped"
SECOND = 1_000_000


@pytest.fixture
def stamped(declare: Any, templates: Any) -> Fragment:
    """A fragment with a version, a token and stamps, which needs no database."""
    templates({"stamped.html": "Hello {{ name }}"})

    @declare("stamped.html", name=NAME, items=["you"], version=len, stamped=True, max_age=3600)
    def stamped(name: str) -> dict[str, Any]:
        return {"name": name}

    fragment: Fragment = stamped
    return fragment


class Happenings:
    """What can happen to a fragment; the tables name them."""

    def __init__(self, clock: Clock, trips: RoundTrips) -> None:
        self._clock = clock
        self._trips = trips

    def nothing(self) -> None:
        pass

    def shown_here(self) -> None:
        with in_request():
            for name in ("you", "other"):
                get_fragment(NAME, name)

    def shown_elsewhere(self) -> None:
        with elsewhere():
            self.shown_here()

    def invalidated_here(self) -> None:
        invalidate_all(NAME)

    def invalidated_elsewhere(self) -> None:
        with elsewhere():
            invalidate_all(NAME)

    def stamp_replaced_here(self) -> None:
        invalidate(NAME, "you")

    def stamp_replaced_elsewhere(self) -> None:
        with elsewhere():
            invalidate(NAME, "you")

    def another_stamp_replaced_elsewhere(self) -> None:
        with elsewhere():
            invalidate(NAME, "other")

    def purged(self) -> None:
        invalidate_all(NAME, purge=True)

    def warmed(self) -> None:
        warm(registry.get(NAME))

    def nine_seconds_later(self) -> None:
        self._clock.step(9)

    def eleven_seconds_later(self) -> None:
        self._clock.step(11)

    def an_hour_later(self) -> None:
        self._clock.step(3601)

    def tokens_lost(self) -> None:
        store().delete_many(token_keys())

    def cleared(self) -> None:
        caches[store().alias].clear()

    def garbage_for_tokens(self) -> None:
        store().backend.set_many(dict.fromkeys(token_keys(), b"garbage"))

    def entries_lost(self) -> None:
        stored = {key for trip in self._trips.of("store_many") for key in trip.keys}
        store().delete_many(stored - {manifest_key(NAME)})
        store().local.clear()

    def head_lost(self) -> None:
        store().delete_many(self._head_keys())

    def tombstone_for_a_head(self) -> None:
        for key, head in store().read_many(self._head_keys()).items():
            tombstone = Head(suffix=Head.unpack(head.payload).suffix, is_tombstone=True)
            store().advance_many({key: head._replace(payload=tombstone.pack())}, None)

    def head_four_seconds_ahead(self) -> None:
        self._head_ahead(4)

    def head_six_seconds_ahead(self) -> None:
        self._head_ahead(6)

    def _head_ahead(self, seconds: int) -> None:
        found = store().read_many(self._head_keys())
        as_of = self._clock.time_ns() // 1000 + seconds * SECOND
        store().write_many({k: head._replace(as_of=as_of) for k, head in found.items()}, None)

    def _head_keys(self) -> set[str]:
        advanced = {key for trip in self._trips.of("advance_many") for key in trip.keys}
        return advanced - set(token_keys())


def token_keys() -> list[str]:
    """Return the keys of the fragment's token and of the stamp of "you"."""
    encoded = registry.get(NAME).parameters.instance(("you",)).encoded
    names = [TokenName(NAME), TokenName(NAME, encoded)]
    return [key for copies in token_copies.keys_of(store(), names).values() for key in copies]


@pytest.fixture
def happen(clock: Clock, trips: RoundTrips, stamped: Fragment) -> Any:
    """A function that lets a row's happenings happen, one after the other."""
    happenings = Happenings(clock, trips)

    def happen(names: str) -> None:
        for name in names.split():
            getattr(happenings, name)()

    return happen


@dataclass(frozen=True, kw_only=True)
class Storing:
    """Whether a page stores what it renders, after what happened before it and in it."""

    rule: str
    before: str = "nothing"
    during: str = "nothing"
    is_stored: bool
    prevents: str


STORED = [
    Storing(
        rule="absent tokens are made",
        is_stored=True,
        prevents="a cold page that is rendered twice",
    ),
    Storing(
        rule="tokens known since before the page began are good",
        before="shown_elsewhere shown_here entries_lost",
        is_stored=True,
        prevents="a site where nothing is ever stored",
    ),
    Storing(
        rule="unknown tokens are good if they are older than clocks differ",
        before="shown_elsewhere entries_lost eleven_seconds_later",
        is_stored=True,
        prevents="new processes that render every page once for nothing",
    ),
    Storing(
        rule="unknown tokens that are younger are not",
        before="shown_elsewhere entries_lost nine_seconds_later",
        is_stored=False,
        prevents="a token made during the page, by a clock that is late, taken for an older one",
    ),
    Storing(
        rule="a token that was replaced elsewhere during the page is not",
        before="shown_here",
        during="invalidated_elsewhere",
        is_stored=False,
        prevents="what the view loaded before, stored as current until the next change",
    ),
    Storing(
        rule="nor is a stamp",
        before="shown_here",
        during="stamp_replaced_elsewhere",
        is_stored=False,
        prevents="the same, for one instance",
    ),
    Storing(
        rule="a token that was replaced here during the page is not",
        before="shown_here",
        during="invalidated_here",
        is_stored=False,
        prevents="the same, by the view that changes what it has loaded",
    ),
    Storing(
        rule="nor is a stamp that was",
        before="shown_here",
        during="stamp_replaced_here",
        is_stored=False,
        prevents="the same, for one instance",
    ),
    Storing(
        rule="another instance's stamp is of no concern",
        before="shown_here entries_lost",
        during="another_stamp_replaced_elsewhere",
        is_stored=True,
        prevents="one busy instance that keeps the others out of the cache",
    ),
    Storing(
        rule="a token that was replaced here before the page is good",
        before="shown_here invalidated_here",
        is_stored=True,
        prevents="a page that is rendered twice after an invalidation",
    ),
    Storing(
        rule="one that was replaced elsewhere before the page is good for the second page",
        before="shown_here invalidated_elsewhere shown_here",
        is_stored=True,
        prevents="an invalidation after which nothing is stored for long",
    ),
    Storing(
        rule="a token that was there and is gone may have been replaced before",
        before="shown_here",
        during="invalidated_elsewhere tokens_lost",
        is_stored=False,
        prevents="what the view loaded before, stored since the server restarted",
    ),
    Storing(
        rule="that is so for one page",
        before="shown_here tokens_lost shown_here",
        is_stored=True,
        prevents="a server after whose restart nothing is stored for long",
    ),
    Storing(
        rule="a token that the cache was cleared of by this process was not lost",
        before="shown_here cleared",
        is_stored=True,
        prevents="a cold page that is rendered twice in each test of a site",
    ),
    Storing(
        rule="but for the pages that are built meanwhile",
        before="shown_here",
        during="invalidated_elsewhere cleared",
        is_stored=False,
        prevents="what they have loaded before, stored as current",
    ),
    Storing(
        rule="what is no token is replaced by one",
        before="shown_here garbage_for_tokens shown_here",
        is_stored=True,
        prevents="a name that whoever writes to the cache has switched off for ever",
    ),
]


@any_cache
@pytest.mark.parametrize("row", STORED, ids=lambda row: f"{row.rule} / else {row.prevents}")
def test_a_page_stores_under_tokens_that_were_known_before_it_began(
    cache_alias: str, stamped: Fragment, happen: Any, row: Storing
) -> None:
    happen(row.before)
    rendered, stored = happened(Event.RENDERED), happened(Event.STORED)
    with in_request():
        happen(row.during)
        assert get_fragment(stamped, "you") == "Hello you"

    assert happened(Event.RENDERED) == rendered + 1
    assert happened(Event.STORED) == stored + row.is_stored


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What a warm fragment counts as after something happened: on its site, on a target."""

    happened: str
    on_site: Event
    on_target: Event
    prevents: str


SERVED = [
    Serving(
        happened="nothing",
        on_site=Event.HIT,
        on_target=Event.HIT,
        prevents="a cache that nobody uses",
    ),
    Serving(
        happened="invalidated_here",
        on_site=Event.STALE,
        on_target=Event.STALE_SERVED,
        prevents="the old in place of the new; targets that go blank until the next run",
    ),
    Serving(
        happened="stamp_replaced_here",
        on_site=Event.STALE,
        on_target=Event.STALE_SERVED,
        prevents="the same, for one instance",
    ),
    Serving(
        happened="invalidated_here warmed",
        on_site=Event.HIT,
        on_target=Event.HIT,
        prevents="a run that leaves what was invalidated",
    ),
    Serving(
        happened="purged",
        on_site=Event.MISSING,
        on_target=Event.MISSING,
        prevents="targets that still show what must not be seen any more",
    ),
    Serving(
        happened="purged invalidated_here",
        on_site=Event.MISSING,
        on_target=Event.MISSING,
        prevents="an invalidation that takes a purge back",
    ),
    Serving(
        happened="purged warmed invalidated_here",
        on_site=Event.STALE,
        on_target=Event.STALE_SERVED,
        prevents="one purge after which every invalidation is one",
    ),
    Serving(
        happened="tokens_lost",
        on_site=Event.STALE,
        on_target=Event.STALE_SERVED,
        prevents="an invalidation undone by the server that lost it",
    ),
    Serving(
        happened="garbage_for_tokens",
        on_site=Event.STALE,
        on_target=Event.STALE_SERVED,
        prevents="an invalidation undone by whoever writes to the cache",
    ),
    Serving(
        happened="an_hour_later",
        on_site=Event.STALE,
        on_target=Event.STALE_SERVED,
        prevents="an entry that every run extends, so that a mistake in it stays for ever",
    ),
    Serving(
        happened="entries_lost",
        on_site=Event.MISSING,
        on_target=Event.MISSING,
        prevents="a head taken for an entry",
    ),
    Serving(
        happened="head_lost",
        on_site=Event.HIT,
        on_target=Event.MISSING,
        prevents="a site that needs heads where it knows versions",
    ),
    Serving(
        happened="tombstone_for_a_head",
        on_site=Event.HIT,
        on_target=Event.MISSING,
        prevents="a deleted object that lives on on the targets",
    ),
    Serving(
        happened="head_four_seconds_ahead",
        on_site=Event.HIT,
        on_target=Event.HIT,
        prevents="sites that do not believe each other, since their clocks differ a little",
    ),
    Serving(
        happened="head_six_seconds_ahead",
        on_site=Event.HIT,
        on_target=Event.MISSING,
        prevents="a head by a clock that is wrong, which no true one replaces",
    ),
]


@any_cache
@pytest.mark.parametrize("where", ["on_site", "on_target"])
@pytest.mark.parametrize("row", SERVED, ids=lambda row: f"{row.happened} / else {row.prevents}")
def test_an_entry_is_fresh_stale_or_missing(
    cache_alias: str, stamped: Fragment, happen: Any, row: Serving, where: str
) -> None:
    warm(stamped)
    happen(row.happened)
    before = {event: happened(event, NAME) for event in Event}

    if where == "on_site":
        html = get_fragment(NAME, "you")
        assert html == "Hello you"
    else:
        with on_target(NAME):
            html = get_fragment(NAME, "you", default=None)
        assert html == (None if row.on_target is Event.MISSING else "Hello you")

    outcomes = (Event.HIT, Event.STALE, Event.STALE_SERVED, Event.MISSING)
    counted = [event for event in outcomes if happened(event, NAME) > before[event]]
    assert counted == [getattr(row, where)]


@dataclass(frozen=True, kw_only=True)
class Moving:
    """Whether a head that was read at ``new`` replaces one of ``stored``, in seconds from now."""

    rule: str
    stored: float | None
    new: float
    seen: str = "nothing"
    goes: bool
    prevents: str


MOVED = [
    Moving(
        rule="the first one is stored",
        stored=None,
        new=-10,
        goes=True,
        prevents="-",
    ),
    Moving(
        rule="a later one goes",
        stored=-10,
        new=-9,
        goes=True,
        prevents="-",
    ),
    Moving(
        rule="an earlier one does not",
        stored=-9,
        new=-10,
        goes=False,
        prevents="a slow renderer that puts the former state back",
    ),
    Moving(
        rule="an equal one goes",
        stored=-10,
        new=-10,
        goes=True,
        prevents="two changes within a tick of the clock, of which the first one stays",
    ),
    Moving(
        rule="an earlier one goes over the bytes that its writer has seen",
        stored=-9,
        new=-10,
        seen="what is stored",
        goes=True,
        prevents="a database that was restored and never shows on the targets",
    ),
    Moving(
        rule="but not over others",
        stored=-9,
        new=-10,
        seen="something else",
        goes=False,
        prevents="a correction that undoes what happened since its writer looked",
    ),
    Moving(
        rule="one as far in the future as clocks differ counts",
        stored=4,
        new=0,
        goes=False,
        prevents="a slow renderer on the machine whose clock is late",
    ),
    Moving(
        rule="one further in the future does not",
        stored=6,
        new=0,
        goes=True,
        prevents="a clock that was wrong once and blocks a head for as long as it was wrong",
    ),
]


@pytest.mark.parametrize("row", MOVED, ids=lambda row: f"{row.rule} / else {row.prevents}")
def test_a_head_moves_only_forward(cache_alias: str, clock: Clock, row: Moving) -> None:
    key = "fc1:library.stamped:-:-@digest"
    moment = clock.time_ns() // 1000

    def head(seconds: float, suffix: str) -> Entry:
        as_of = moment + int(seconds * SECOND)
        return Entry(Kind.HEAD, Head(suffix=suffix).pack(), as_of=as_of, built_at=as_of)

    def named() -> str:
        return Head.unpack(store().read_many([key])[key].payload).suffix

    if row.stored is not None:
        store().write_many({key: head(row.stored, "stored")}, 60)
    there = store().fetch_many([key])
    seen = {"nothing": {}, "what is stored": there, "something else": {key: b"else"}}[row.seen]

    stayed = store().advance_many({key: head(row.new, "new")}, 60, seen)

    assert stayed == (set() if row.goes else {key})
    assert named() == ("new" if row.goes else "stored")
