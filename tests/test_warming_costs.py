"""What a run costs: queries, round trips, memory; and what one failing instance costs the rest."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fragcache import Fragment, get_fragment, get_fragments, register
from fragcache.warming import Status
from tests.fixtures import RoundTrips, any_cache
from tests.library.models import Album, Artist, Track
from tests.warming import A_SECOND, all_fresh, all_stored, counted, shared_caches, warm

pytestmark = pytest.mark.django_db


@pytest.fixture
def add_albums() -> Callable[[int], list[Album]]:
    def add(number: int) -> list[Album]:
        artist = Artist.objects.create(name="Nina")
        albums = Album.objects.bulk_create(
            Album(title=f"Album {n}", artist=artist) for n in range(number)
        )
        Track.objects.bulk_create(Track(album=album, title="One") for album in albums)
        return albums

    return add


@pytest.fixture
def album_card(declare: Any, templates: Any) -> Fragment:
    templates({"album.html": "{% for track in album.tracks.all %}{{ track }}{% endfor %}"})

    @declare(
        "album.html",
        name="library.album",
        items=Album.objects.select_related("artist").all,
        version=["updated_at", "artist__updated_at"],
        prefetch_related=["tracks"],
    )
    def album_card(album: Album) -> dict[str, Any]:
        return {"album": album}

    fragment: Fragment = album_card
    return fragment


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestQueries:
    @pytest.mark.parametrize("number", [5, 50])
    def test_a_batch_costs_the_same_whatever_its_size(
        self,
        album_card: Fragment,
        add_albums: Any,
        django_assert_num_queries: Any,
        number: int,
    ) -> None:
        add_albums(number)
        with django_assert_num_queries(3):  # versions, albums, tracks
            assert counted(warm(album_card)) == all_stored(number)
        with django_assert_num_queries(1):  # versions
            assert counted(warm(album_card)) == all_fresh(number)

    def test_one_changed_row_costs_two_more_than_none(
        self, album_card: Fragment, add_albums: Any, django_assert_num_queries: Any
    ) -> None:
        album = add_albums(50)[7]
        warm(album_card)
        Album.objects.filter(pk=album.pk).update(updated_at=album.updated_at + A_SECOND)

        with django_assert_num_queries(3):
            assert warm(album_card).totals.rendered == 1

    @pytest.mark.parametrize(("rows", "batches"), [(1, 1), (5, 1), (6, 2), (52, 11)])
    def test_one_query_per_batch_when_nothing_changed(
        self, album_card: Fragment, add_albums: Any, rows: int, batches: int
    ) -> None:
        add_albums(rows)
        warm(album_card)

        with CaptureQueriesContext(connection) as queries:
            warm(album_card, batch_size=5)

        whole_last_batch = rows % 5 == 0  # only a query more tells that it was the last
        assert len(queries) == batches + whole_last_batch

    def test_choices_and_languages_list_no_row_again(
        self,
        declare: Any,
        templates: Any,
        add_albums: Any,
        settings: Any,
        django_assert_num_queries: Any,
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
        templates({"x.html": ""})
        add_albums(10)

        @declare(
            "x.html", items=Album.objects.all, version="updated_at", choices={"size": [1, 2, 3]}
        )
        def fragment(album: Album, size: int) -> dict[str, Any]:
            return {}

        with django_assert_num_queries(1 + 2):  # versions; albums once in each language
            assert counted(warm(fragment)) == all_stored(60)
        with django_assert_num_queries(1):
            assert counted(warm(fragment)) == all_fresh(60)

    def test_a_version_that_a_function_computes_costs_a_batch_one_query(
        self, declare: Any, templates: Any, add_albums: Any, django_assert_num_queries: Any
    ) -> None:
        templates({"x.html": ""})
        add_albums(50)

        @declare("x.html", items=Album.objects.all, version=lambda album: album.updated_at)
        def fragment(album: Album) -> dict[str, Any]:
            return {}

        warm(fragment)
        with django_assert_num_queries(2):  # keys; albums, for the function
            assert counted(warm(fragment)) == all_fresh(50)


@shared_caches
class TestRoundTrips:
    def test_two_per_batch_when_nothing_changed(
        self, cache_alias: str, album_card: Fragment, add_albums: Any, trips: RoundTrips
    ) -> None:
        add_albums(12)
        warm(album_card)
        trips.clear()

        warm(album_card, batch_size=5)

        token, *batches, manifest = trips
        assert [trip.command for trip in batches] == ["get_many", "touch_many"] * 3
        assert (token.command, manifest.command) == ("get_many", "store_many")
        heads_and_token, entries = batches[0].keys, batches[1].keys
        copies = sum("#" in key for key in heads_and_token)
        assert [len(heads_and_token) - copies, len(entries)] == [5, 5]
        assert not any("@" in key or "#" in key for key in entries)
        assert manifest.keys[0].endswith("!manifest")

    def test_six_per_batch_with_a_change_in_it(
        self, cache_alias: str, album_card: Fragment, add_albums: Any, trips: RoundTrips
    ) -> None:
        albums = add_albums(50)
        warm(album_card)
        trips.clear()
        for album in albums[::10]:
            Album.objects.filter(pk=album.pk).update(updated_at=album.updated_at + A_SECOND)

        warm(album_card)

        _token, *batch, manifest = trips
        assert [(trip.command, len(trip.keys)) for trip in batch[1:]] == [
            ("touch_many", 45),
            ("store_many", 5),
            ("advance_many", 5),
            ("touch_many", 5),
            ("get_many", 1),
        ]
        assert len(manifest.keys) == 1

    def test_no_entry_travels_to_find_out_that_it_is_fresh(
        self, cache_alias: str, album_card: Fragment, add_albums: Any, trips: RoundTrips
    ) -> None:
        add_albums(3)
        warm(album_card)
        entries = set(trips.of("store_many")[0].keys)
        trips.clear()
        warm(album_card)

        assert entries.isdisjoint(key for trip in trips.of("get_many") for key in trip.keys)


class TestMemory:
    @any_cache
    def test_it_does_not_grow_with_the_number_of_rows(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any
    ) -> None:
        settings.DEBUG = False  # else Django keeps each query
        templates({"x.html": "{{ artist.name }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def fragment(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        def peak() -> int:
            gc.collect()
            tracemalloc.start()
            try:
                report = warm(fragment, batch_size=200)
                assert report.totals.planned == Artist.objects.count()
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(600))
        peak()  # what is made once
        few = peak()
        Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(4_000))
        first, again = peak(), peak()

        assert first < few + 1_000_000
        assert again < few + 200_000

    @any_cache
    @pytest.mark.usefixtures("cache_alias")
    def test_a_generator_is_not_read_ahead(
        self, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        templates({"x.html": ""})
        ahead = []

        def items() -> Any:
            for n in range(20):
                ahead.append(n - len(renders))
                yield n

        @declare("x.html", name="library.x", items=items, version=lambda n: 1)
        def fragment(n: int) -> dict[str, Any]:
            renders.append(n)
            return {}

        warm(fragment, batch_size=5)

        assert max(ahead) < 5


#: By where it goes wrong: the template, and what the context of the poisonous album is.
POISONS: dict[str, tuple[str, dict[str, Any] | Exception | str, str]] = {
    "the context function": ("", ValueError("boom"), "ValueError: boom"),
    "what it returns": ("", "text", "its context is a str, not a dict: 'text'"),
    "the template": ("{% include name %}", {"name": "none.html"}, "TemplateDoesNotExist: none"),
    "a filter": ("{{ n|divisibleby:by }}", {"n": 1, "by": 0}, "ZeroDivisionError"),
}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="fragcache")
    return caplog


class TestFailures:
    @shared_caches
    @pytest.mark.parametrize("poison", POISONS)
    def test_one_poisonous_instance_is_named_and_the_others_are_stored(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        add_albums: Any,
        log: pytest.LogCaptureFixture,
        poison: str,
    ) -> None:
        source, context, message = POISONS[poison]
        templates({"x.html": source, "fine.html": "fine"})
        albums = add_albums(10)
        fine = {"name": "fine.html", "n": 4, "by": 2}

        @declare(
            "x.html",
            name="library.x",
            items=Album.objects.all,
            version="updated_at",
            choices={"size": ["s"]},
        )
        def fragment(album: Album, size: str) -> Any:
            if album.pk == albums[6].pk:
                if isinstance(context, Exception):
                    raise context
                return context
            return fine

        report = warm(fragment)

        assert report.status is Status.FAILED
        assert counted(report) == {"planned": 10, "rendered": 9, "stored": 9, "failed": 1}
        [record] = log.records
        assert record.name == "fragcache.warm"
        assert record.levelname == "ERROR"
        assert record.getMessage().startswith(f"library.x({albums[6].pk}, 's') failed: ")
        assert message in record.getMessage()
        assert record.exc_info is not None
        assert "Traceback" in log.text
        assert (record.__dict__["fragment"], record.__dict__["arguments"]) == (
            "library.x",
            (albums[6].pk, "s"),
        )
        again = counted(warm(fragment))
        assert again == {"planned": 10, "fresh": 9, "failed": 1}

    @any_cache
    def test_the_rest_of_the_batch_is_rendered_one_by_one(
        self, cache_alias: str, templates: Any, add_albums: Any, log: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": "{{ title }}"})
        albums = add_albums(5)
        sizes = []

        class Card(Fragment):
            name = "library.x"
            template_name = "x.html"
            items = Album.objects.all
            version = "updated_at"

            def get_contexts(self, items: Sequence[tuple[Album]]) -> list[dict[str, Any]]:
                sizes.append(len(items))
                return [{"title": {}[album.pk]} if album == albums[2] else {} for (album,) in items]

        assert counted(warm(Card())) == {"planned": 5, "rendered": 4, "stored": 4, "failed": 1}
        assert sizes == [5, 1, 1, 1, 1, 1]
        assert f"library.x({albums[2].pk}) failed: KeyError: {albums[2].pk}" in log.text

    @any_cache
    @pytest.mark.parametrize("number", [0, 2, 4])
    def test_a_wrong_number_of_contexts_stores_nothing(
        self,
        cache_alias: str,
        templates: Any,
        add_albums: Any,
        log: pytest.LogCaptureFixture,
        number: int,
    ) -> None:
        """Else each instance would show another one's context."""
        templates({"x.html": "{{ title }}"})
        add_albums(3)

        @register
        class Card(Fragment):
            name = "library.x"
            template_name = "x.html"
            items = Album.objects.all
            version = "updated_at"

            def get_contexts(self, items: Sequence[tuple[Album]]) -> list[dict[str, Any]]:
                return [{}] * number

        assert counted(warm(Card())) == {"planned": 3, "failed": 3}
        message = f"get_contexts() returned {number} contexts for 1 items: one each is needed"
        assert log.text.count(f"library.x.{message}") >= 3

    @any_cache
    def test_contexts_that_are_lost_cost_just_their_instances(
        self, cache_alias: str, templates: Any, add_albums: Any, log: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": "{{ title }}"})
        albums = add_albums(3)

        @register
        class Card(Fragment):
            name = "library.x"
            template_name = "x.html"
            items = Album.objects.all
            version = "updated_at"

            def get_contexts(self, items: Sequence[tuple[Album]]) -> list[dict[str, Any]]:
                return [{"title": a.title} for (a,) in items if a.title != "Album 1"]

        assert counted(warm(Card())) == {"planned": 3, "rendered": 2, "stored": 2, "failed": 1}
        assert get_fragments(Card, albums[::2]) == ["Album 0", "Album 2"]

    @any_cache
    def test_a_fragment_whose_items_raise_does_not_stop_the_others(
        self,
        cache_alias: str,
        declare: Any,
        artist_card: Fragment,
        artists: list[Artist],
        log: pytest.LogCaptureFixture,
    ) -> None:
        def items() -> Any:
            raise LookupError("no such shelf")

        @declare("artist_card.html", name="library.broken", items=items, version=lambda n: 1)
        def broken(n: int) -> dict[str, Any]:
            return {}

        report = warm(broken, artist_card)

        assert report.status is Status.FAILED
        assert counted(report.fragments["library.broken"]) == {"failed": 1}
        assert counted(report.fragments["library.artist_card"]) == all_stored(2)
        assert "library.broken: no such shelf" in log.text
        assert "Traceback" in log.text

    @any_cache
    def test_a_template_that_does_not_exist_fails_its_fragment_alone(
        self,
        cache_alias: str,
        declare: Any,
        artist_card: Fragment,
        artists: list[Artist],
        log: pytest.LogCaptureFixture,
    ) -> None:
        @declare("nowhere.html", name="library.broken", items=[1], version=lambda n: 1)
        def broken(n: int) -> dict[str, Any]:
            return {}

        report = warm(broken, artist_card)

        assert counted(report.fragments["library.broken"]) == {"failed": 1}
        assert counted(report.fragments["library.artist_card"]) == all_stored(2)
        assert "library.broken: nowhere.html" in log.text

    @any_cache
    def test_a_function_as_version_that_raises_fails_its_instance_alone(
        self,
        cache_alias: str,
        declare: Any,
        artist_card: Fragment,
        artists: list[Artist],
        log: pytest.LogCaptureFixture,
    ) -> None:
        @declare(
            "artist_card.html",
            name="library.broken",
            items=[1, 2, 3],
            version=lambda n: 1 // (n - 2),
        )
        def broken(n: int) -> dict[str, Any]:
            return {}

        report = warm(broken, artist_card)

        counts = {"planned": 3, "rendered": 2, "stored": 2, "failed": 1}
        assert counted(report.fragments["library.broken"]) == counts
        assert counted(report.fragments["library.artist_card"]) == all_stored(2)
        assert "library.broken(2) failed: ZeroDivisionError" in log.text
        assert "Traceback" in log.text

    @any_cache
    def test_a_page_still_gets_the_poisonous_instances_own_error(
        self, cache_alias: str, declare: Any, templates: Any, log: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", name="library.x", items=[1], version=lambda n: 1)
        def fragment(n: int) -> dict[str, Any]:
            raise ValueError("boom")

        warm(fragment)

        with pytest.raises(ValueError, match=r"^boom$"):
            get_fragment(fragment, 1)
