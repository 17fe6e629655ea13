"""The local cache: rows that look like others under which a copy is kept, and are not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F

from fragcache import Fragment, InvalidArguments
from fragcache.reading import rows
from tests.fixtures import RoundTrips, any_cache
from tests.library.models import Album, Artist
from tests.pages import configure, rename, shown

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
A_SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def nina(artist_card: Fragment) -> Artist:
    """A row whose copy is held."""
    nina = Artist.objects.create(pk=1, name="Nina")
    assert shown(artist_card, [nina]) == ["<b>Nina</b>"]
    return nina


def change(artist: Artist) -> None:
    """Change a row and move its mtime, behind the back of objects that are loaded."""
    later = artist.updated_at + A_SECOND
    Artist.objects.filter(pk=artist.pk).update(name="Nina Simone", updated_at=later)


def test_copies_are_found_however_many_fragments_and_axis_values_were_shown_since(
    artist_card: Fragment, nina: Artist, trips: RoundTrips
) -> None:
    """Of more than a few thousand, what is common to keys is made anew each time."""
    rows._shelf.cache_clear()
    trips.clear()
    assert shown(artist_card, [nina]) == ["<b>Nina</b>"]
    assert trips == []


class TestVersions:
    @pytest.mark.parametrize("max_bytes", [2**20, 0], ids=["local", "remote"])
    def test_two_that_are_equal_in_python_an_hour_apart_share_no_copy(
        self, artist_card: Fragment, max_bytes: int
    ) -> None:
        """When clocks are set back, Python compares what they show."""
        berlin = ZoneInfo("Europe/Berlin")
        summer = dt.datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
        winter = summer.replace(fold=1)
        assert summer == winter
        with configure(LOCAL_MAX_BYTES=max_bytes):
            nina = Artist.objects.create(name="Nina", updated_at=summer)
            assert shown(artist_card, [nina]) == ["<b>Nina</b>"]
            nina.name, nina.updated_at = "Nina Simone", winter
            nina.save()

            assert shown(artist_card, [nina]) == ["<b>Nina Simone</b>"]
            assert shown(artist_card, [nina]) == ["<b>Nina Simone</b>"]

    def test_a_moment_in_another_zone_is_the_same_version(
        self, artist_card: Fragment, nina: Artist, renders: list[int]
    ) -> None:
        nina.updated_at = nina.updated_at.astimezone(ZoneInfo("Asia/Tokyo"))

        assert shown(artist_card, [nina]) == ["<b>Nina</b>"]
        assert renders == [1]

    @pytest.mark.parametrize("fields", [["name"], ["pk"]])
    def test_one_that_was_not_loaded_is_asked_for(
        self, artist_card: Fragment, nina: Artist, fields: list[str], django_assert_num_queries: Any
    ) -> None:
        deferred = Artist.objects.only(*fields).get()
        with django_assert_num_queries(1):
            assert shown(artist_card, [deferred]) == ["<b>Nina</b>"]
        change(nina)
        assert shown(artist_card, [deferred]) == ["<b>Nina Simone</b>"]

    def test_one_that_was_loaded_is_enough(
        self, artist_card: Fragment, nina: Artist, trips: RoundTrips, django_assert_num_queries: Any
    ) -> None:
        deferred = Artist.objects.defer("name").get()
        trips.clear()
        with django_assert_num_queries(0):
            assert shown(artist_card, [deferred]) == ["<b>Nina</b>"]
        assert trips == []

    def test_one_that_only_the_database_knows_is_asked_for(
        self, artist_card: Fragment, nina: Artist
    ) -> None:
        change(nina)
        nina.updated_at = F("updated_at")
        assert shown(artist_card, [nina]) == ["<b>Nina Simone</b>"]

    def test_numbers_are_versions_too(self, declare: Any, templates: Any, nina: Artist) -> None:
        templates({"x.html": "{{ album.title }}"})
        album = Album.objects.create(title="Pastel Blues", artist=nina)

        @declare("x.html", items=Album.objects.all, version="artist_id")
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        assert shown(x, [album]) == ["Pastel Blues"]
        album.title, album.artist = "Wild Is the Wind", Artist.objects.create(pk=2, name="N. S.")
        album.save()
        assert shown(x, [album]) == ["Wild Is the Wind"]

    @pytest.mark.parametrize("further", ["updated_at", "artist_id"])
    def test_of_related_rows_are_apart_as_well(
        self, declare: Any, templates: Any, nina: Artist, further: str
    ) -> None:
        templates({"x.html": "{{ album.artist.name }}"})
        summer = dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
        album = Album.objects.create(title="Pastel Blues", artist=nina)

        @declare("x.html", items=Album.objects.all, version=[further, "artist__updated_at"])
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        changes = ("Nina", summer), ("Nina Simone", summer.replace(fold=1))
        for name, moment in (*changes, ("Eunice", moment_of("2026-11-01"))):
            nina.name, nina.updated_at = name, moment
            nina.save()
            assert shown(x, [album]) == shown(x, [album]) == [name]


def moment_of(date: str) -> dt.datetime:
    return dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)


class TestPrimaryKeys:
    @pytest.mark.parametrize("pk", ["1", " 1"])
    def test_a_text_names_the_row_in_its_present_version(
        self, artist_card: Fragment, nina: Artist, pk: str
    ) -> None:
        held = Artist(pk=pk, name="?", updated_at=nina.updated_at)
        assert shown(artist_card, [pk, held, nina]) == ["<b>Nina</b>"] * 3
        change(nina)
        assert shown(artist_card, [pk]) == ["<b>Nina Simone</b>"]

    @pytest.mark.parametrize("pk", [True, 1.0, None])
    def test_what_equals_one_is_refused_though_a_copy_is_held(
        self, artist_card: Fragment, nina: Artist, pk: Any
    ) -> None:
        like = Artist(pk=pk, name="?", updated_at=nina.updated_at)
        for items in ([pk], [like], [nina, like], [nina, pk]):
            with pytest.raises(InvalidArguments):
                shown(artist_card, items)

    def test_a_row_of_another_model_is_refused_though_all_its_values_are_equal(
        self, artist_card: Fragment, nina: Artist
    ) -> None:
        album = Album(pk=1, title="Nina", updated_at=nina.updated_at)
        for items in ([album], [nina, album]):
            with pytest.raises(InvalidArguments, match=r"takes a library\.Artist"):
                shown(artist_card, items)


class TestSubclasses:
    @pytest.fixture
    def models(self) -> Iterator[list[type[Artist]]]:
        class LiveArtist(Artist):
            class Meta:
                app_label = "library"
                proxy = True

        class Band(Artist):
            class Meta:
                app_label = "library"

        yield [LiveArtist, Band]
        for name in ("liveartist", "band"):
            del Artist._meta.apps.all_models["library"][name]
        Artist._meta.apps.clear_cache()

    @pytest.mark.parametrize("kind", [0, 1], ids=["proxy", "child"])
    def test_stand_for_the_row_in_the_version_they_carry(
        self, artist_card: Fragment, nina: Artist, models: list[type[Artist]], kind: int
    ) -> None:
        model = models[kind]
        held = model(pk=1, id=1, name="?", updated_at=nina.updated_at)
        assert shown(artist_card, [held]) == ["<b>Nina</b>"]
        assert shown(artist_card, [nina, held]) == ["<b>Nina</b>"] * 2
        change(nina)
        held.updated_at += A_SECOND
        assert shown(artist_card, [held]) == ["<b>Nina Simone</b>"]


class TestFurtherArguments:
    def test_that_are_equal_in_python_are_instances_of_their_own(
        self, declare: Any, templates: Any, nina: Artist
    ) -> None:
        templates({"x.html": "{{ artist }} {{ kind }}"})

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist, size: Any = 0) -> dict[str, Any]:
            return {"artist": artist, "kind": repr(size)}

        for _page in range(2):
            for size, printed in ((1, "1"), (True, "True"), ("1", "&#x27;1&#x27;"), (None, "None")):
                assert shown(x, [nina], size=size) == [f"Nina {printed}"]
            assert shown(x, [(nina, 1), (nina, True)]) == ["Nina 1", "Nina True"]
            assert shown(x, [nina]) == ["Nina 0"]

    def test_that_no_other_fragment_of_the_same_rows_shares(
        self, artist_card: Fragment, declare: Any, templates: Any, nina: Artist
    ) -> None:
        templates({"x.html": "<i>{{ artist }}</i>"})

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        for _page in range(2):
            assert shown(x, [nina]) == ["<i>Nina</i>"]
            assert shown(artist_card, [nina]) == ["<b>Nina</b>"]

    def test_a_list_may_mix_all_forms_and_keeps_their_order(
        self, artist_card: Fragment, nina: Artist, renders: list[int]
    ) -> None:
        ella = Artist.objects.create(pk=2, name="Ella")
        deferred = Artist.objects.only("name").get(pk=2)
        forms = [ella, nina, 1, "2", (nina,), deferred, (2,), nina]

        for _page in range(2):
            html = shown(artist_card, forms)
            assert [text[3:7] for text in html] == (
                ["Ella", "Nina", "Nina", "Ella", "Nina", "Ella", "Ella", "Nina"]
            )
        assert renders == [1, 2]


def test_a_form_that_was_refused_changes_no_copy(artist_card: Fragment, nina: Artist) -> None:
    """What a view has put into an object, and has not saved, is nobody else's."""
    nina.name = "Mallory"
    assert shown(artist_card, [nina]) == ["<b>Nina</b>"]
    rename(nina, "Nina Simone")
    nina.updated_at += A_SECOND
    assert shown(artist_card, [nina]) == ["<b>Nina Simone</b>"]
