"""Remote fragments: a target's own template, rendered from the contexts that a source publishes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.template import engines
from django.test import override_settings
from django.utils import timezone, translation

from fragcache import (
    DuplicateFragment,
    Fragment,
    FragmentMissing,
    ImproperlyDeclared,
    InvalidArguments,
    ShapeMismatch,
    fetch_context,
    fragment,
    get_fragment,
    get_fragments,
    invalidate,
    invalidate_all,
    manifest,
    publish_context,
    registry,
    remote_fragment,
)
from fragcache.contexts import Record
from fragcache.events import Event
from fragcache.management.selection import selected
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, elsewhere, happened, in_request, on_target, warm
from tests.library.models import Artist

pytestmark = pytest.mark.django_db
NAME = "library.card"
CATALOGUE = "library.catalogue"


@pytest.fixture
def source(templates: Any, artists: list[Artist], renders: list[Any]) -> Fragment:
    """What the source declares and publishes: cards, and which of them there are."""
    templates(
        {
            "of_target.html": "<i>{{ artist }}</i>",
            "other.html": "<u>{{ artist.name }} {{ number }}</u>",
        }
    )

    @fragment(
        name=NAME, items=Artist.objects.all, version="updated_at", publish="context", stamped=False
    )
    def card(artist: Artist, variant: str = "row") -> dict[str, Any]:
        renders.append(artist.pk)
        return {"artist": artist, "variant": variant}

    @fragment(name=CATALOGUE, publish="context")
    def catalogue() -> dict[str, Any]:
        return {"ids": list(Artist.objects.order_by("pk").values_list("pk", flat=True))}

    return card


@contextmanager
def target(
    template: str = "of_target.html", *, name: str = NAME, **options: Any
) -> Iterator[Fragment]:
    """A site that has the templates and no models; it writes unless it is told otherwise."""
    site = {key: options.pop(key) for key in list(options) if key.isupper()}
    names = [one.name for one in registry.all_fragments()]
    with on_target(*names, **{"READ_ONLY": False, **site}), elsewhere():
        try:
            yield remote_fragment(name, template, **options)
        finally:
            registry.remove(name)


@contextmanager
def on_the_source(declared: Fragment) -> Iterator[None]:
    """What happens in here happens on the source, while this site is a target."""
    own = registry.get(NAME)
    registry.remove(NAME)
    registry.add(declared)
    try:
        yield
    finally:
        registry.remove(NAME)
        registry.add(own)
        manifest._remembered.clear()


def change(artist: Artist, name: str) -> None:
    moved = Artist.objects.get(pk=artist.pk).updated_at + dt.timedelta(seconds=1)
    Artist.objects.filter(pk=artist.pk).update(name=name, updated_at=moved)


class TestReading:
    def test_shows_the_own_template_with_the_context_of_the_source(
        self,
        cache_alias: str,
        source: Fragment,
        artists: list[Artist],
        renders: list[Any],
        django_assert_num_queries: Any,
    ) -> None:
        warm(source)
        renders.clear()
        with target(), django_assert_num_queries(0):
            pks = [artist.pk for artist in artists]
            for _time in range(2):
                assert get_fragments(NAME, pks) == ["<i>Nina</i>", "<i>Ella</i>"]
            page = "{% load fragcache %}{% fragment 'library.card' pk variant='row' %}"
            assert engines["django"].from_string(page).render({"pk": str(pks[1])}) == "<i>Ella</i>"
        assert renders == []
        assert happened(Event.RENDERED, NAME) == 4  # contexts and HTML, once each

    def test_stores_what_it_has_rendered_until_the_source_publishes_anew(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        publish_context(source, artists[0])
        with target() as own:
            assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
            assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
            assert happened(Event.STORED, NAME) == 2
            change(artists[0], "Eunice")
            assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
            with on_the_source(source):
                publish_context(source, artists[0].pk)
            assert get_fragment(own, artists[0].pk) == "<i>Eunice</i>"
            assert get_fragment(own, artists[0].pk) == "<i>Eunice</i>"
        assert happened(Event.STORED, NAME) == 4

    def test_costs_two_round_trips_while_it_is_warm(
        self, cache_alias: str, source: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(source)
        pks = [artist.pk for artist in artists]
        with target():
            get_fragments(NAME, pks)
            store().local.clear()
            trips.clear()
            with in_request():
                assert get_fragments(NAME, pks) == ["<i>Nina</i>", "<i>Ella</i>"]
            assert trips.commands == ["get_many", "get_many"]
            assert not any(".*" in key for trip in trips for key in trip.keys)

    def test_is_shown_while_the_context_has_ended(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        """What was rendered of it is there, and all else is missing as it ever is."""
        keys = [publish_context(source, artist) for artist in artists]
        pks = [artist.pk for artist in artists]
        with target():
            assert get_fragment(NAME, pks[0]) == "<i>Nina</i>"
            store().delete_many(keys)
            store().local.clear()
            assert get_fragments(NAME, pks, default="") == ["<i>Nina</i>", ""]
            with pytest.raises(FragmentMissing, match="is not in the cache, and this site cannot"):
                get_fragment(NAME, pks[1])
            page = "{% load fragcache %}({% fragments 'library.card' pks %})"
            html = engines["django"].from_string(page).render({"pks": pks})
            assert html == "(<i>Nina</i>)"

    @any_cache
    def test_on_a_site_that_only_reads_renders_and_writes_nothing(
        self, cache_alias: str, source: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(source)
        trips.clear()
        with target(READ_ONLY=True):
            assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
        assert trips.writes == []

    @any_cache
    def test_of_a_release_with_another_template_does_not_meet_the_former(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        warm(source)
        with target():
            assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
        with target("other.html"):
            assert get_fragment(NAME, artists[0].pk) == "<u>Nina </u>"
        with target():
            assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
        assert happened(Event.RENDERED, NAME) == 4

    @any_cache
    def test_of_a_stale_context_is_shown_and_not_stored(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        warm(source)
        invalidate_all(source)
        with target():
            for _time in range(2):
                assert get_fragment(NAME, artists[0].pk) == "<i>Nina</i>"
            assert happened(Event.STORED, NAME) == 2  # what the run has stored
            with on_the_source(source):
                Artist.objects.update(name="Eunice")  # which no version tells
                publish_context(source, artists[0].pk)
            for _time in range(2):
                assert get_fragment(NAME, artists[0].pk) == "<i>Eunice</i>"
        assert happened(Event.STORED, NAME) == 4

    @any_cache
    def test_fetches_the_context_by_its_name_all_the_same(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        warm(source)
        with target(vary_on=["site"]):
            assert fetch_context(NAME, artists[0].pk)["artist"].name == "Nina"

    @any_cache
    def test_varies_on_the_axes_of_both(
        self, cache_alias: str, templates: Any, settings: Any
    ) -> None:
        settings.LANGUAGES = [("en-us", "English"), ("de", "German")]
        templates({"x.html": "{{ word }} {{ price }} {{ moment|time:'H:i' }}"})

        @fragment(name="library.word", publish="context", vary_on=["-time_zone"])
        def word() -> dict[str, Any]:
            german = translation.get_language() == "de"
            moment = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
            return {"word": "Preis" if german else "Price", "price": 1.5, "moment": moment}

        warm(word)
        with target("x.html", name="library.word"):
            for _time in range(2):
                assert get_fragment("library.word") == "Price 1.5 12:00"
                with translation.override("de"), timezone.override("Asia/Tokyo"):
                    assert get_fragment("library.word") == "Preis 1,5 21:00"


@any_cache
class TestMissing:
    def test_context_is_missing_html(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        publish_context(source, artists[0])
        with target():
            with pytest.raises(FragmentMissing) as raised:
                get_fragment(NAME, artists[1].pk)
            assert str(raised.value) == (
                f"library.card({artists[1].pk}) is not in the cache, and this site cannot "
                "render it: run warm_fragments on the source, or pass default=."
            )
            pks = [artist.pk for artist in artists]
            assert get_fragments(NAME, pks, default="") == ["<i>Nina</i>", ""]
            page = "{% load fragcache %}({% fragments 'library.card' pks %})"
            html = engines["django"].from_string(page).render({"pks": pks})
            assert html == "(<i>Nina</i>)"

    def test_source_is_missing_html(self, cache_alias: str, source: Fragment) -> None:
        with target():
            with pytest.raises(FragmentMissing, match="No source has published a fragment called"):
                get_fragment(NAME, 1)
            page = "{% load fragcache %}({% fragment 'library.card' 1 %})"
            assert engines["django"].from_string(page).render({}) == "()"
            assert happened(Event.ABSENT, NAME) == 1

    def test_arguments_are_no_outage(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        warm(source)
        with target():
            assert get_fragment(NAME, artists[0].pk, colour="red", default="") == ""
            with pytest.raises(InvalidArguments, match="has no parameter 'colour'"):
                get_fragment(NAME, artists[0].pk, colour="red")


@any_cache
class TestShape:
    def test_gives_its_attributes_to_the_template(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        @dataclass
        class Card:
            artist: Record
            variant: str
            number: int = 7

        warm(source)
        with target("other.html", shape=Card):
            assert get_fragment(NAME, artists[0].pk) == "<u>Nina 7</u>"

    def test_that_does_not_fit_is_an_error_and_nothing_is_stored(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        @dataclass
        class Card:
            artist: int

        warm(source)
        with target(shape=Card):
            for _time in range(2):
                with pytest.raises(ShapeMismatch) as raised:
                    get_fragment(NAME, artists[0].pk)
        assert str(raised.value) == (
            "The context of library.card does not fit Card:\n"
            "  artist is <Artist: Nina> (Record), not int\n"
            "  variant is unexpected"
        )

    def test_that_is_none_is_refused_where_it_is_declared(self, cache_alias: str) -> None:
        with pytest.raises(ImproperlyDeclared, match="shape=<class 'dict'> is not a dataclass"):
            remote_fragment(NAME, "of_target.html", shape=dict)
        with pytest.raises(ImproperlyDeclared, match="it has no template"):
            remote_fragment(NAME)


class TestWarming:
    def test_renders_from_what_is_published(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        warm(source, registry.get(CATALOGUE))
        with target(items=lambda: fetch_context(CATALOGUE)["ids"]) as own:
            tally = warm(own).fragments[NAME]
            assert (tally.planned, tally.rendered, tally.stored) == (2, 2, 2)
            tally = warm(own).fragments[NAME]
            assert (tally.planned, tally.fresh, tally.rendered) == (2, 2, 0)
            rendered = happened(Event.RENDERED, NAME)
            pks = [artist.pk for artist in artists]
            assert get_fragments(NAME, pks) == ["<i>Nina</i>", "<i>Ella</i>"]
            assert happened(Event.RENDERED, NAME) == rendered
            change(artists[0], "Eunice")
            with on_the_source(source):
                warm(source)
            tally = warm(own).fragments[NAME]
            assert (tally.planned, tally.fresh, tally.stored) == (2, 1, 1)
            assert get_fragments(NAME, pks) == ["<i>Eunice</i>", "<i>Ella</i>"]

    @any_cache
    def test_leaves_the_manifest_to_the_source(
        self, cache_alias: str, source: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(source)
        with target(items=[artists[0].pk]) as own:
            trips.clear()
            warm(own)
        assert not any("!manifest" in key for trip in trips.writes for key in trip.keys)

    @any_cache
    def test_with_choices_walks_all_of_them(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        warm(source)
        publish_context(source, artists[0], variant="full")
        with target(items=[artists[0].pk], choices={"variant": ["row", "full"]}) as own:
            assert warm(own).fragments[NAME].stored == 2

    @any_cache
    def test_without_items_is_on_demand(self, cache_alias: str, source: Fragment) -> None:
        warm(source)
        with target() as own:
            assert not own.is_warmable
            with pytest.raises(InvalidArguments, match="cannot be warmed: it has no items"):
                selected([NAME])

    @any_cache
    def test_what_is_not_published_is_left_out(
        self, cache_alias: str, source: Fragment, artists: list[Artist]
    ) -> None:
        publish_context(source, artists[0])
        with target(items=[artist.pk for artist in artists]) as own:
            tally = warm(own).fragments[NAME]
            assert (tally.stored, tally.failed) == (1, 0)


@any_cache
def test_what_shows_one_follows_it(
    cache_alias: str, source: Fragment, artists: list[Artist], templates: Any
) -> None:
    templates({"around.html": "{% load fragcache %}[{% fragment 'library.card' pk %}]"})
    publish_context(source, artists[0])
    pk = artists[0].pk
    with target():
        around = fragment("around.html", name="library.around", version=lambda: 1)(
            lambda: {"pk": pk}
        )
        try:
            for _time in range(2):
                assert get_fragment(around) == "[<i>Nina</i>]"
            change(artists[0], "Eunice")
            with on_the_source(source):
                publish_context(source, pk)
            with in_request():
                assert get_fragment(around) == "[<i>Eunice</i>]"
        finally:
            registry.remove("library.around")


@any_cache
@pytest.mark.parametrize("how", ["purge", "delete"])
def test_what_was_purged_is_shown_no_more(
    cache_alias: str, source: Fragment, artists: list[Artist], how: str
) -> None:
    warm(source)
    pk = artists[0].pk
    with target(stale_while_revalidate=600):
        assert get_fragment(NAME, pk) == "<i>Nina</i>"
        with on_the_source(source):
            if how == "purge":
                invalidate_all(source, purge=True)
            else:
                artists[0].delete()
                invalidate(source, pk)
        for _time in range(2):
            with in_request():
                assert get_fragment(NAME, pk, default="") == ""


@any_cache
def test_what_fetches_a_context_by_itself_is_not_stored(
    cache_alias: str, source: Fragment, artists: list[Artist], templates: Any
) -> None:
    """Nobody could tell when it has changed."""
    templates({"own.html": "{{ ids|length }}"})
    warm(registry.get(CATALOGUE))
    with target():
        own = fragment("own.html", name="library.own", version=lambda: 1)(
            lambda: fetch_context(CATALOGUE)
        )
        try:
            for _time in range(2):
                assert get_fragment(own) == "2"
        finally:
            registry.remove("library.own")
    assert happened(Event.STORED, "library.own") == 0


@any_cache
def test_a_name_is_declared_once(cache_alias: str, source: Fragment) -> None:
    with pytest.raises(DuplicateFragment, match=r"Two fragments are called 'library\.card'"):
        remote_fragment(NAME, "of_target.html")


@any_cache
def test_checks_pass_while_the_source_is_silent(cache_alias: str, source: Fragment) -> None:
    from django.core.checks import run_checks

    with target(), override_settings(DEBUG=False):
        found = [str(message) for message in run_checks() if "library.card" in str(message)]
    assert found == []
