"""What was prefetched and is missing: rendered together when it is shown, or complained about."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.template import TemplateSyntaxError

from fragcache import (
    Fragment,
    InvalidArguments,
    UndefinedArgument,
    UnknownFragment,
    get_fragment,
    register,
)
from fragcache.events import Event
from tests.fixtures import RoundTrips, any_cache, happened, in_request
from tests.fixtures import without_local_cache as remote
from tests.library.models import Artist
from tests.pages import Visitor, configure, page, shared_caches

pytestmark = [pytest.mark.django_db, remote]
PREFETCH = "{% prefetch_fragments 'library.bulk' artists %}"
REVERSED = "{% for artist in artists reversed %}{% fragment 'library.bulk' artist %}{% endfor %}"
within = pytest.mark.parametrize("within", [in_request, nullcontext], ids=["request", "render"])


class Declined(Exception):
    """What the site's own code raises."""


@pytest.fixture
def calls(templates: Any) -> list[list[str]]:
    """The names of the artists of each call that builds the contexts of ``library.bulk``."""
    templates({"bulk.html": "{{ artist.name }} "})
    calls: list[list[str]] = []

    @register
    class Bulk(Fragment):
        name = "library.bulk"
        template_name = "bulk.html"
        items = Artist.objects.all
        version = "updated_at"

        def get_contexts(self, items: Any) -> list[dict[str, Any]]:
            calls.append(sorted(artist.name for (artist,) in items))
            for (artist,) in items:
                if artist.name == "declined":
                    raise Declined("this one only")
            return [{"artist": artist} for (artist,) in items]

    return calls


class TestRendering:
    @shared_caches
    @within
    def test_is_one_call_and_one_write(
        self,
        cache_alias: str,
        calls: list[list[str]],
        artists: list[Artist],
        trips: RoundTrips,
        within: Any,
    ) -> None:
        with within():
            assert page(PREFETCH + REVERSED, artists=artists) == "Ella Nina "

        assert calls == [["Ella", "Nina"]]
        assert len(trips.of("get_many")) == 1
        (written,) = trips.of("store_many")
        assert len(written.keys) == 2
        assert page(REVERSED, artists=artists) == "Ella Nina "
        assert calls == [["Ella", "Nina"]]

    @any_cache
    def test_is_of_those_alone_that_are_missing(
        self, cache_alias: str, calls: list[list[str]], artists: list[Artist]
    ) -> None:
        page(REVERSED, artists=artists[:1])
        assert page(PREFETCH + REVERSED, artists=artists) == "Ella Nina "
        assert calls == [["Nina"], ["Ella"]]
        assert happened(Event.RENDERED) == happened(Event.STORED) == 2

    @any_cache
    @pytest.mark.parametrize("placed", ["artist", "artist.pk"])
    @pytest.mark.parametrize("prefetched", ["rows", "primary keys"])
    def test_is_one_call_whatever_form_names_them(
        self,
        cache_alias: str,
        calls: list[list[str]],
        artists: list[Artist],
        placed: str,
        prefetched: str,
    ) -> None:
        items = artists if prefetched == "rows" else [str(artist.pk) for artist in artists]
        source = (
            "{% prefetch_fragments 'library.bulk' items %}{% for artist in artists %}"
            "{% fragment 'library.bulk' " + placed + " %}{% endfor %}"
        )
        assert page(source, artists=artists, items=items) == "Nina Ella "
        assert calls == [["Ella", "Nina"]]

    @any_cache
    def test_is_once_for_a_list_that_names_one_twice_or_two_lists(
        self, cache_alias: str, calls: list[list[str]], artists: list[Artist]
    ) -> None:
        assert page(PREFETCH * 2 + REVERSED * 2, artists=artists * 2) == "Ella Nina " * 4
        assert calls == [["Ella", "Nina"]]

    @any_cache
    @within
    def test_that_cannot_be_stored_is_done_once_too(
        self,
        cache_alias: str,
        calls: list[list[str]],
        artists: list[Artist],
        trips: RoundTrips,
        within: Any,
    ) -> None:
        """Inside of a transaction that wrote, nothing is for others to see."""
        with within(), transaction.atomic():
            Artist.objects.filter(name="Nina").update(name="Nina Simone")
            html = page(PREFETCH + REVERSED, artists=[artist.pk for artist in artists])
            transaction.set_rollback(True)

        assert html == "Ella Nina Simone "
        assert calls == [["Ella", "Nina Simone"]]
        assert trips.of("store_many") == trips.of("advance_many") == []
        assert page(REVERSED, artists=artists) == "Ella Nina "

    @any_cache
    def test_without_a_cache_is_one_call(
        self, cache_alias: str, calls: list[list[str]], artists: list[Artist], settings: Any
    ) -> None:
        down = {**settings.CACHES["embedded"], "LOCATION": "/dev/null/no-directory/cache.sqlite3"}
        settings.CACHES = {**settings.CACHES, "down": down}
        with configure(CACHE_ALIAS="down"):
            assert page(PREFETCH + REVERSED, artists=artists) == "Ella Nina "
        assert calls == [["Ella", "Nina"]]
        assert happened(Event.CACHE_ERROR) >= 1

    @any_cache
    def test_of_what_is_not_placed_is_left_to_the_page_that_shows_it(
        self, cache_alias: str, calls: list[list[str]], artists: list[Artist]
    ) -> None:
        assert page(PREFETCH, artists=artists) == ""
        assert calls == []

    @any_cache
    def test_inside_of_a_fragment_is_stored_with_all_that_bubbles(
        self,
        cache_alias: str,
        calls: list[list[str]],
        artists: list[Artist],
        declare: Any,
        templates: Any,
    ) -> None:
        templates({"outer.html": "{% load fragcache %}" + PREFETCH + REVERSED})

        @declare("outer.html", name="library.outer", version=lambda: 1)
        def outer() -> dict[str, Any]:
            return {"artists": Artist.objects.order_by("pk")}

        for _read in range(2):
            assert get_fragment(outer) == "Ella Nina "
        assert happened(Event.RENDERED, "library.outer") == 1

    @any_cache
    def test_that_may_not_be_kept_keeps_every_fragment_that_shows_a_member_from_being_kept(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any
    ) -> None:
        """Rendered with the first of them, a member still is what one visitor alone may see."""
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.pages.Visitor"]}
        templates(
            {
                "mine.html": "{{ visitor }}{{ word }} ",
                "open.html": "{% load fragcache %}{% fragment 'library.mine' word %}",
                "outer.html": "{% load fragcache %}{% fragment 'library.open' word %}",
            }
        )
        for name, vary_on in (("mine", ["visitor"]), ("open", []), ("outer", [])):

            @declare(
                f"{name}.html", name=f"library.{name}", version=lambda word: 1, vary_on=vary_on
            )
            def context(word: str) -> dict[str, Any]:
                return {"word": word, "visitor": Visitor.active.get()}

        source = "{% prefetch_fragments 'library.open' words %}" + "".join(
            f"{{% fragment 'library.outer' words.{number} %}}" for number in range(3)
        )
        for visitor in ("nina", "ella"):
            with Visitor().activate(visitor):
                html = page(source, words=["a", "b", "c"])
            assert html == f"{visitor}a {visitor}b {visitor}c "


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestErrors:
    def test_of_one_member_are_the_callers_own_and_only_others_are_stored(
        self, calls: list[list[str]], artists: list[Artist], trips: RoundTrips
    ) -> None:
        artists[0].name = "declined"
        artists[0].save()
        for _page in range(2):
            with pytest.raises(Declined, match=r"^this one only$"):
                page(PREFETCH + REVERSED, artists=artists)
        [stored] = trips.of("store_many")
        assert [f":i{len(str(pk))}:{pk}:" in stored.keys[0] for pk in pks(artists)] == [False, True]

        artists[0].name = "Nina"
        artists[0].save()
        assert page(PREFETCH + REVERSED, artists=artists) == "Ella Nina "

    def test_of_members_are_nobodys_where_none_is_placed(
        self, calls: list[list[str]], artists: list[Artist]
    ) -> None:
        artists[0].name = "declined"
        artists[0].save()
        assert page(PREFETCH, artists=artists) == ""

    def test_of_arguments_are_told_by_the_tag(
        self, calls: list[list[str]], artists: list[Artist]
    ) -> None:
        with pytest.raises(InvalidArguments, match="is not a primary key"):
            page(PREFETCH, artists=["none"])
        with pytest.raises(InvalidArguments, match="has no parameter 'size'"):
            page("{% prefetch_fragments 'library.bulk' artists size=1 %}", artists=artists)
        message = r"{% prefetch_fragments %} takes a list of items, not 'Nina': for one use"
        with pytest.raises(InvalidArguments, match=message):
            page(PREFETCH, artists="Nina")

    def test_of_names_come_with_the_nearest(self, calls: list[list[str]]) -> None:
        with pytest.raises(UnknownFragment, match=r"Did you mean 'library\.bulk'"):
            page("{% prefetch_fragments 'library.blk' artists %}", artists=[1])
        with pytest.raises(UnknownFragment, match="resolves to nothing"):
            page("{% prefetch_fragments name artists %}", artists=[1])

    def test_of_what_does_not_resolve_are_raised_in_tests(self, calls: list[list[str]]) -> None:
        with pytest.raises(UndefinedArgument, match="atrists does not resolve"):
            page("{% prefetch_fragments 'library.bulk' atrists %}")

    def test_of_what_does_not_resolve_are_logged_in_production(
        self,
        calls: list[list[str]],
        artists: list[Artist],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.delattr(mail, "outbox")
        source = "{% prefetch_fragments 'library.bulk' atrists %}" + REVERSED
        assert page(source, artists=artists) == "Ella Nina "
        assert happened(Event.UNDEFINED_ARGUMENT, "library.bulk") == 1
        [record] = caplog.records
        assert record.levelno == logging.WARNING

    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            ("prefetch_fragments 'x' y as z", r"prints nothing that 'as' could keep: place its"),
            ("prefetch_fragments 'x'", r"takes a name and one list .* got 0 arguments"),
            ("prefetch_fragments 'x' a b", r"takes a name and one list .* got 2 arguments"),
            ("prefetch_fragments", r"{% prefetch_fragments %} needs the name of a fragment\."),
        ],
    )
    def test_of_grammar_are_told_when_the_template_is_compiled(
        self, tag: str, message: str
    ) -> None:
        with pytest.raises(TemplateSyntaxError, match=message):
            page("{% " + tag + " %}")


def pks(artists: list[Artist]) -> list[int]:
    return [artist.pk for artist in artists]


@any_cache
def test_a_member_that_fails_and_is_not_placed_is_nobodys_error(
    cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
) -> None:
    templates({"x.html": "{{ artist.name }}"})

    @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
    def x(artist: Artist) -> dict[str, Any]:
        if artist.name == "Ella":
            raise LookupError("Ella has no record")
        return {"artist": artist}

    prefetched = "{% prefetch_fragments 'library.x' artists %}"
    assert page(prefetched + "{% fragment 'library.x' artists.0 %}", artists=artists) == "Nina"
    with pytest.raises(LookupError, match="Ella has no record"):
        page(prefetched + "{% fragment 'library.x' artists.1 %}", artists=artists)


@any_cache
def test_the_versions_of_prefetched_primary_keys_cost_one_query(
    cache_alias: str,
    artist_card: Fragment,
    artists: list[Artist],
    django_assert_num_queries: Any,
) -> None:
    source = (
        "{% prefetch_fragments 'library.artist_card' pks %}"
        "{% for pk in pks %}{% fragment 'library.artist_card' pk %}{% endfor %}"
    )
    page(source, pks=pks(artists))
    with django_assert_num_queries(1):
        assert page(source, pks=pks(artists)) == "<b>Nina</b><b>Ella</b>"
