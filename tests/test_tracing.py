"""``fragcache.tracing``: what became of each instance of a page, in a tree."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.template import engines
from django.utils import timezone

from fragcache import Fragment, aget_fragment, get_fragment, get_fragments, tracing
from fragcache.events import Event, Miss
from fragcache.tracing import Call, Outcome, Render, Span, recording
from tests.fixtures import RoundTrips, any_cache, happened, in_request, on_target, reasons, warm
from tests.library.models import Artist
from tests.pages import page

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
CARD = "library.artist_card"
TWO_CARDS = "\n{% fragments 'library.artist_card' artists %}"


@pytest.fixture
def outer(declare: Any, templates: Any, artist_card: Fragment) -> Fragment:
    """A fragment that shows two cards by one tag, and the first of them by another."""
    templates(
        {
            "outer.html": "{% load fragcache %}{% fragments 'library.artist_card' artists %}\n"
            "{% fragment 'library.artist_card' artists.0 %}"
        }
    )

    @declare("outer.html", name="library.outer")
    def outer() -> dict[str, Any]:
        return {"artists": list(Artist.objects.order_by("pk"))}

    fragment: Fragment = outer
    return fragment


def recorded(show: Callable[[], object]) -> tracing.Trace:
    with in_request(), tracing.record() as trace:
        show()
    return trace


def only_call(show: Callable[[], object]) -> Call:
    """Return the one call that is made."""
    [call] = recorded(show).spans
    assert isinstance(call, Call)
    return call


def changed(artist: Artist) -> None:
    artist.updated_at = timezone.now() + dt.timedelta(microseconds=1)
    artist.save()


def outcomes(call: Call) -> list[tuple[Outcome, str]]:
    return [(one.outcome, one.miss) for one in call.shown]


def test_a_page_is_a_tree_of_calls_and_renders(outer: Fragment, artists: list[Artist]) -> None:
    call = only_call(lambda: get_fragment(outer))

    assert (call.fragment, outcomes(call)) == ("library.outer", [(Outcome.RENDERED, Miss.COLD)])
    [render] = call.children
    assert isinstance(render, Render)
    assert render is call.shown[0].render
    cards, card = render.children
    assert isinstance(cards, Call)
    assert isinstance(card, Call)
    assert [type(one) for one in cards.children] == [Render, Render]
    assert outcomes(cards) == [(Outcome.RENDERED, Miss.COLD)] * 2
    assert [one.outcome.is_hit for one in card.shown] == [True]
    assert [one.arguments for one in cards.shown] == [f"pk={artist.pk}" for artist in artists]


def test_positions_are_those_of_tags_and_of_code(outer: Fragment, artists: list[Artist]) -> None:
    page_call = only_call(lambda: page(TWO_CARDS, artists=artists))
    code_call = only_call(lambda: get_fragment(outer))

    assert str(page_call.position) == "<string>, line 2"
    assert str(code_call.position).startswith(f"{__file__}, line ")
    inner = [one for one in code_call.walk() if isinstance(one, Call)][1:]
    assert [str(one.position) for one in inner] == ["outer.html, line 1", "outer.html, line 2"]


def test_a_call_in_a_thread_of_async_code_has_no_position(greeting: Fragment) -> None:
    async def show() -> None:
        await aget_fragment(greeting, "Ada")

    assert only_call(lambda: asyncio.run(show())).position is None


def test_the_position_of_a_call_in_jinja2(jinja: Any, greeting: Fragment) -> None:
    jinja({"page.jinja2": "\n\n{{ fragment('library.greeting', 'Ada') }}"})
    template = engines["jinja2"].get_template("page.jinja2")

    call = only_call(lambda: template.render({}))

    assert str(call.position) == "page.jinja2, line 3"


@pytest.mark.without_local_cache
def test_round_trips_are_those_that_were_made(
    artist_card: Fragment, artists: list[Artist], trips: RoundTrips
) -> None:
    for _visit in "cold", "warm":
        trips.clear()
        totals = recorded(lambda: page(TWO_CARDS, artists=artists)).totals()
        assert totals.round_trips == len([one for one in trips if one.command in MADE])
        assert totals.waited > 0
    assert (totals.hits, totals.local, totals.renders, totals.round_trips) == (2, 0, 0, 1)


#: What is asked of the cache while the page is built; heads are written when it has ended.
MADE = {"get_many", "store_many", "add_many"}


def test_hits_and_reasons_are_those_that_are_counted(
    artist_card: Fragment, artists: list[Artist]
) -> None:
    get_fragments(artist_card, artists)
    changed(artists[0])

    call = only_call(lambda: get_fragments(artist_card, artists))

    assert outcomes(call) == [(Outcome.RENDERED, Miss.NEW_VERSION), (Outcome.HIT_LOCAL, "")]
    assert reasons().get("NEW_VERSION") == 1
    assert call.shown[0].is_stored
    assert call.shown[1].age is not None
    assert call.shown[1].size == len("<b>Ella</b>")


def test_stale_entries_are_told_with_their_age(
    declare: Any, templates: Any, artists: list[Artist]
) -> None:
    templates({"x.html": "{{ artist.name }}"})
    stale = {"stale_while_revalidate": 3600, "items": Artist.objects.all, "version": "updated_at"}

    @declare("x.html", name="library.stale", **stale)
    def stale_card(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    warm(stale_card)
    changed(artists[0])

    [shown] = only_call(lambda: get_fragment(stale_card, artists[0])).shown

    assert (shown.outcome, shown.miss) == (Outcome.STALE, Miss.NEW_VERSION)
    assert shown.age
    assert happened(Event.STALE_SERVED, "library.stale") == 1


def test_what_was_prefetched_is_rendered_with_its_group(
    artist_card: Fragment, artists: list[Artist]
) -> None:
    source = (
        "{% prefetch_fragments 'library.artist_card' artists %}"
        "{% for artist in artists %}{% fragment 'library.artist_card' artist %}{% endfor %}"
    )

    first, second = recorded(lambda: page(source, artists=artists)).spans

    assert isinstance(first, Call)
    assert isinstance(second, Call)
    assert len(first.children) == 2
    assert outcomes(first) == outcomes(second) == [(Outcome.RENDERED, Miss.COLD)]
    assert second.shown[0].render is first.children[1]


def test_a_target_shows_nothing_where_nothing_is(
    artist_card: Fragment, artists: list[Artist]
) -> None:
    warm(artist_card)
    with on_target(CARD):
        call = only_call(lambda: get_fragments(CARD, [artists[0].pk, 10**6], default=""))

    assert [one.outcome.is_hit for one in call.shown] == [True, False]
    assert call.shown[1].outcome is Outcome.NOTHING
    assert call.shown[1].miss.startswith("miss_")


def test_an_error_ends_the_spans_that_it_passes(declare: Any, templates: Any) -> None:
    templates({"x.html": "{{ fail.now }}"})

    class Failing:
        def now(self) -> None:
            raise ZeroDivisionError

    @declare("x.html", name="library.failing")
    def failing() -> dict[str, Any]:
        return {"fail": Failing()}

    with tracing.record() as trace, pytest.raises(ZeroDivisionError):
        get_fragment(failing)

    assert [(type(one), one.error) for one in trace.walk()] == [
        (Call, "ZeroDivisionError"),
        (Render, "ZeroDivisionError"),
    ]
    assert all(one.duration for one in trace.walk())


def test_what_is_not_worth_it_is_rendered_without_looking(
    greeting: Fragment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fragcache.reading.pipeline.is_bypassed", lambda _name: True)

    call = only_call(lambda: get_fragment(greeting, "Ada"))

    assert outcomes(call) == [(Outcome.RENDERED, "")]
    assert call.shown[0].arguments == "name='Ada'"


class Noting:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def began(self, span: Span) -> None:
        self.told.append(f"{type(span).__name__} {span.fragment} began")

    def ended(self, span: Span) -> None:
        self.told.append(f"{type(span).__name__} {span.fragment} ended")
        if isinstance(span, Call):
            self.told.append(str(span.shown[0].outcome))


def test_listeners_are_told_while_it_happens(greeting: Fragment) -> None:
    listener = Noting()
    tracing.listen(listener)
    try:
        get_fragment(greeting, "Ada")
    finally:
        tracing.leave(listener)
    get_fragment(greeting, "Grace")

    assert listener.told == [
        "Call library.greeting began",
        "Render library.greeting began",
        "Render library.greeting ended",
        "Call library.greeting ended",
        "rendered",
    ]
    assert not recording.is_on


def test_a_listener_that_fails_is_logged_and_no_page_fails(
    greeting: Fragment, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Noting):
        def began(self, span: Span) -> None:
            raise ZeroDivisionError

    listener = Broken()
    tracing.listen(listener)
    try:
        with caplog.at_level(logging.ERROR, "fragcache"):
            assert get_fragment(greeting, "Ada") == "Hello Ada"
    finally:
        tracing.leave(listener)

    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {
        ZeroDivisionError
    }


def test_an_argument_that_cannot_be_shown_fails_no_page(declare: Any, templates: Any) -> None:
    class Mute:
        def fragment_identity(self) -> str:
            return "mute"

        def __repr__(self) -> str:
            raise ValueError

    templates({"own.html": "own"})

    @declare("own.html", name="library.own", timeout=60)
    def own(what: object) -> dict[str, Any]:
        return {}

    [shown] = only_call(lambda: get_fragment(own, Mute())).shown
    assert shown.arguments == "what=<Mute>"
