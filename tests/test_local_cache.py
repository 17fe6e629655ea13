"""The local cache: what copies in process memory spare, and what each of them is a copy of."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import translation

from fragcache import Fragment, get_fragment, get_fragments, invalidate_all
from fragcache.events import Event
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, happened, in_request
from tests.library.models import Artist
from tests.pages import configure, rename, shared_caches, shown

pytestmark = pytest.mark.django_db
A_SECOND = dt.timedelta(seconds=1)


class TestCosts:
    @shared_caches
    def test_a_second_page_costs_no_round_trip(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        first = shown(artist_card, artists)
        trips.clear()

        assert shown(artist_card, artists) == first == ["<b>Nina</b>", "<b>Ella</b>"]
        assert trips == []
        assert happened(Event.HIT) == 2

    @shared_caches
    def test_what_another_process_stored_is_fetched_by_the_first_page_alone(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        shown(artist_card, artists)
        store().local.clear()
        trips.clear()

        for _page in range(3):
            shown(artist_card, artists)

        assert trips.commands == ["get_many"]

    @shared_caches
    def test_a_second_page_of_primary_keys_costs_its_query_alone(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        trips: RoundTrips,
        django_assert_num_queries: Any,
    ) -> None:
        pks = [artist.pk for artist in artists]
        shown(artist_card, pks)
        trips.clear()

        with django_assert_num_queries(1):
            shown(artist_card, pks)
        assert trips == []

    @shared_caches
    def test_a_second_page_of_what_is_found_by_head_costs_one(
        self, cache_alias: str, greeting: Fragment, trips: RoundTrips
    ) -> None:
        """The heads, which may move; the entries they name are held."""
        shown(greeting, ["you", "me"])
        trips.clear()

        assert shown(greeting, ["you", "me"]) == ["Hello you", "Hello me"]
        assert trips.commands == ["get_many"]

    @shared_caches
    def test_switched_off_each_page_costs_one_however_often_it_shows_an_instance(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        with configure(LOCAL_MAX_BYTES=0):
            for _page in range(3):
                trips.clear()
                with in_request():
                    for _place in range(3):
                        get_fragments(artist_card, artists)
                        get_fragment(artist_card, artists[1])
        assert trips.commands == ["get_many"]
        assert store().local.size == 0

    @any_cache
    def test_copies_take_no_more_than_their_bytes(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ number }}{{ filling }}"})

        @declare("x.html", version=lambda number: 1)
        def x(number: int) -> dict[str, Any]:
            return {"number": number, "filling": "x" * 1000}

        with configure(LOCAL_MAX_BYTES=100_000):
            local = store().local
            for begin in range(0, 1000, 50):
                shown(x, range(begin, begin + 50))
                assert 0 < local.size <= 100_000
            copies = [*local._young.values(), *local._old.values()]
            assert 20 < len(copies) < 100
            assert sum(len(copy.html) for copy in copies) < 100_000

    @any_cache
    def test_small_copies_take_more_than_their_text(
        self, cache_alias: str, greeting: Fragment
    ) -> None:
        """Name, tokens and places in dicts are more than half a kilobyte of each."""
        with configure(LOCAL_MAX_BYTES=100_000):
            shown(greeting, map(str, range(1000)))
            local = store().local
            assert 50 < len(local._young) + len(local._old) < 200

    @pytest.mark.parametrize("cache_alias", ["memcached"], indirect=True)
    def test_what_the_server_refused_is_rendered_by_every_page(
        self, cache_alias: str, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        """In memory it would be known to this process alone, and to no other."""
        templates({"x.html": "{{ filling }}"})

        @declare("x.html", version=lambda number: 1)
        def x(number: int) -> dict[str, Any]:
            renders.append(number)
            return {"filling": "x" * 2**20}

        for _page in range(2):
            assert len(shown(x, [1])[0]) == 2**20
        assert renders == [1, 1]

    def test_a_cache_that_keeps_nothing_has_no_copies(
        self, settings: Any, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        """DummyCache is what sites switch caching off with."""
        backend = "django.core.cache.backends.dummy.DummyCache"
        settings.CACHES = {**settings.CACHES, "dummy": {"BACKEND": backend}}
        settings.FRAGCACHE = {"CACHE_ALIAS": "dummy"}

        for _page in range(2):
            assert shown(artist_card, artists) == ["<b>Nina</b>", "<b>Ella</b>"]

        assert len(renders) == 4
        assert store().local.size == 0


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestIdentity:
    def test_a_moved_mtime_is_another_copy(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        shown(artist_card, artists)
        nina = artists[0]
        nina.name, nina.updated_at = "Nina Simone", nina.updated_at + A_SECOND
        nina.save()

        assert shown(artist_card, artists) == ["<b>Nina Simone</b>", "<b>Ella</b>"]

    def test_another_language_is_another_copy(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{% load l10n %}{{ price }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"price": 1.5}

        for _page in range(2):
            assert shown(x, artists[:1]) == ["1.5"]
            with translation.override("de"):
                assert shown(x, artists[:1]) == ["1,5"]

    def test_a_changed_template_is_another_copy(
        self, artist_card: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        shown(artist_card, artists)
        templates({"artist_card.html": "<u>{{ artist.name }}</u>"})

        assert shown(artist_card, artists) == ["<u>Nina</u>", "<u>Ella</u>"]

    @pytest.mark.parametrize("chosen", ["chosen.html", "outer.html"], ids=["itself", "bubbled"])
    def test_a_changed_include_that_a_variable_named_is_not_shown_from_memory(
        self, declare: Any, templates: Any, artists: list[Artist], chosen: str
    ) -> None:
        templates(
            {
                "x.html": "{% include chosen %}",
                "outer.html": "{% with inner='chosen.html' %}{% include inner %}{% endwith %}",
                "chosen.html": "old",
            }
        )

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"chosen": chosen}

        assert shown(x, artists) == ["old", "old"]
        templates({"chosen.html": "new"})

        assert shown(x, artists) == ["new", "new"]
        assert shown(x, artists) == ["new", "new"]

    @pytest.mark.parametrize("change", [{"KEY_PREFIX": "b"}, {"VERSION": 2}, {"LOCATION": "else"}])
    def test_another_alias_has_its_own(
        self,
        artist_card: Fragment,
        artists: list[Artist],
        settings: Any,
        tmp_path: Any,
        change: dict[str, Any],
    ) -> None:
        one = {**settings.CACHES["embedded"], "LOCATION": str(tmp_path / "one")}
        if "LOCATION" in change:
            change = {"LOCATION": str(tmp_path / "two")}
        settings.CACHES = {**settings.CACHES, "one": one, "two": {**one, **change}}
        shown(artist_card, artists[:1], using="one")
        rename(artists[0], "Nina Simone")

        assert shown(artist_card, artists[:1], using="two") == ["<b>Nina Simone</b>"]
        assert shown(artist_card, artists[:1], using="one") == ["<b>Nina</b>"]
        assert shown(artist_card, artists[:1], using="two") == ["<b>Nina Simone</b>"]

    def test_grown_output_under_the_same_keys_keeps_the_bound(
        self, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ text }}"})
        sizes = [10]

        @declare("x.html", version=lambda number: 1)
        def x(number: int) -> dict[str, Any]:
            return {"text": "x" * sizes[0]}

        with configure(LOCAL_MAX_BYTES=100_000):
            shown(x, range(60))
            sizes[0] = 20_000
            invalidate_all(x)
            shown(x, range(60))
            assert store().local.size <= 100_000
