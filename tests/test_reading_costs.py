"""What a read costs: renders, round trips to the cache, queries to the database."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fragcache import Fragment, get_fragment, get_fragments, register
from fragcache.events import Event
from tests.fixtures import RoundTrips, any_cache, happened, without_local_cache
from tests.library.models import Album, Artist, Track

pytestmark = [pytest.mark.django_db, without_local_cache]
A_SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def fifty() -> list[Artist]:
    return Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(50))


def pks(rows: list[Any]) -> list[Any]:
    return [row.pk for row in rows]


class TestRenders:
    def test_a_second_read_renders_nothing(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        first = get_fragments(artist_card, artists)
        renders.clear()

        assert get_fragments(artist_card, artists) == first == ["<b>Nina</b>", "<b>Ella</b>"]
        assert renders == []
        assert happened(Event.HIT) == 2

    def test_an_instance_that_is_wanted_twice_is_rendered_once(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        nina, ella = artists

        assert get_fragments(artist_card, [ella, nina, ella.pk]) == [
            "<b>Ella</b>",
            "<b>Nina</b>",
            "<b>Ella</b>",
        ]
        assert sorted(renders) == sorted(pks(artists))

    @pytest.mark.parametrize("given", ["objects", "primary keys"])
    def test_a_changed_mtime_renders_just_that_instance(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        renders: list[int],
        given: str,
    ) -> None:
        get_fragments(artist_card, artists)
        renders.clear()
        nina = artists[0]
        Artist.objects.filter(pk=nina.pk).update(
            name="Nina Simone", updated_at=nina.updated_at + A_SECOND
        )
        items = list(Artist.objects.order_by("pk")) if given == "objects" else pks(artists)

        assert get_fragments(artist_card, items) == ["<b>Nina Simone</b>", "<b>Ella</b>"]
        assert renders == [nina.pk]

    @any_cache
    def test_an_mtime_that_goes_back_finds_the_former_entry(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        """As after a restore: a key never gets another meaning."""
        nina = artists[0]
        get_fragment(artist_card, nina)
        Artist.objects.filter(pk=nina.pk).update(updated_at=nina.updated_at + A_SECOND)
        get_fragment(artist_card, nina.pk)
        Artist.objects.filter(pk=nina.pk).update(updated_at=nina.updated_at)

        get_fragment(artist_card, nina.pk)

        assert renders == [nina.pk, nina.pk]

    @any_cache
    def test_the_contexts_of_all_misses_are_built_by_one_call(
        self, cache_alias: str, declare: Any, templates: Any, fifty: list[Artist]
    ) -> None:
        templates({"x.html": "{{ name }}"})
        calls = []

        @register
        class Bulk(Fragment):
            template_name = "x.html"
            items = Artist.objects.all
            version = "updated_at"

            def get_contexts(self, items: Any) -> list[dict[str, Any]]:
                calls.append(len(items))
                return [{"name": artist.name} for (artist,) in items]

        get_fragments(Bulk, fifty[:10])
        assert get_fragments(Bulk, fifty) == [artist.name for artist in fifty]
        assert calls == [10, 40]

    @any_cache
    def test_a_changed_template_renders_anew(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        get_fragment(artist_card, artists[0])
        templates({"artist_card.html": "<i>{{ artist.name }}</i>"})

        assert get_fragment(artist_card, artists[0]) == "<i>Nina</i>"


class TestRoundTrips:
    def test_fifty_instances_cost_one(
        self, cache_alias: str, artist_card: Fragment, fifty: list[Artist], trips: RoundTrips
    ) -> None:
        get_fragments(artist_card, fifty)
        trips.clear()

        get_fragments(artist_card, fifty)

        assert trips.commands == ["get_many"]

    def test_fifty_stamped_instances_cost_one(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        fifty: list[Artist],
        trips: RoundTrips,
    ) -> None:
        templates({"x.html": "{{ artist }}"})
        x = declare("x.html", items=Artist.objects.all, version="updated_at", stamped=True)(
            artist_context
        )
        get_fragments(x, fifty)
        trips.clear()

        get_fragments(x, fifty)

        assert trips.commands == ["get_many"]

    def test_fifty_misses_are_stored_in_one_more(
        self, cache_alias: str, artist_card: Fragment, fifty: list[Artist], trips: RoundTrips
    ) -> None:
        get_fragment(artist_card, fifty[0])  # makes the token
        trips.clear()

        get_fragments(artist_card, fifty)

        assert trips.commands == ["get_many", "store_many"]
        assert len(trips[1].keys) == 49

    def test_without_version_heads_come_first_and_entries_second(
        self, cache_alias: str, greeting: Fragment, trips: RoundTrips, renders: list[str]
    ) -> None:
        names = [f"name {n}" for n in range(50)]
        get_fragments(greeting, names)
        trips.clear()
        renders.clear()

        assert get_fragments(greeting, names) == [f"Hello {name}" for name in names]
        assert trips.commands == ["get_many", "get_many"]
        assert renders == []

    @any_cache
    def test_no_instances_cost_none(
        self, cache_alias: str, artist_card: Fragment, trips: RoundTrips
    ) -> None:
        assert get_fragments(artist_card, []) == []
        assert trips == []


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestQueries:
    def test_loaded_objects_cost_none_and_one_where_they_are_stored(
        self, artist_card: Fragment, fifty: list[Artist], django_assert_num_queries: Any
    ) -> None:
        """What is stored for all is rendered from rows: a form may have changed the object."""
        for queries in (1, 0):
            with django_assert_num_queries(queries):
                get_fragments(artist_card, fifty)

    def test_fifty_primary_keys_cost_one(
        self, artist_card: Fragment, fifty: list[Artist], django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(2):  # versions, then the rows to render
            get_fragments(artist_card, pks(fifty))
        with django_assert_num_queries(1):
            get_fragments(artist_card, pks(fifty))

    def test_only_primary_keys_among_objects_are_asked_for(
        self, artist_card: Fragment, fifty: list[Artist], django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(2) as captured:
            get_fragments(artist_card, [*fifty[:49], fifty[49].pk])
        assert f"IN ({fifty[49].pk})" in captured[0]["sql"]  # versions, then the rows to render

    def test_without_version_a_read_costs_none(
        self,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        django_assert_num_queries: Any,
    ) -> None:
        templates({"x.html": "{{ artist }}"})
        x = declare("x.html", items=Artist.objects.all)(artist_context)
        with django_assert_num_queries(1):
            assert get_fragment(x, artists[0].pk) == "Nina"
        with django_assert_num_queries(0):
            assert get_fragment(x, artists[0].pk) == "Nina"

    @pytest.mark.parametrize("number", [1, 10])
    def test_prefetch_related_costs_one_more_for_any_number(
        self, number: int, declare: Any, templates: Any, django_assert_num_queries: Any
    ) -> None:
        artist = Artist.objects.create(name="Nina")
        albums = [Album.objects.create(title=f"album {n}", artist=artist) for n in range(number)]
        for album in albums:
            Track.objects.create(album=album, title=f"a track of {album.title}")
        templates({"x.html": "{% for track in album.tracks.all %}{{ track }}{% endfor %}"})

        @declare(
            "x.html", items=Album.objects.all, version="updated_at", prefetch_related=["tracks"]
        )
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        with django_assert_num_queries(3):  # versions, albums, tracks
            html = get_fragments(x, pks(albums))
        assert html == [f"a track of album {n}" for n in range(number)]

    @pytest.mark.parametrize(
        ("select_related", "queries"), [(["artist"], 0), ([], 1)], ids=["loaded", "not loaded"]
    )
    def test_a_version_over_a_relation_costs_one_unless_it_is_loaded(
        self,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        django_assert_num_queries: Any,
        select_related: list[str],
        queries: int,
    ) -> None:
        templates({"x.html": "{{ album }} by {{ album.artist }}"})
        Album.objects.create(title="Pastel Blues", artist=artists[0])
        items = Album.objects.select_related("artist")
        x = declare("x.html", items=items, version=["updated_at", "artist__updated_at"])(
            album_context
        )
        get_fragments(x, items)
        albums = list(Album.objects.select_related(*select_related or [None]))

        with django_assert_num_queries(queries):
            assert get_fragments(x, albums) == ["Pastel Blues by Nina"]
        assert happened(Event.HIT) == 1


def artist_context(artist: Artist) -> dict[str, Any]:
    return {"artist": artist}


def album_context(album: Album) -> dict[str, Any]:
    return {"album": album}
