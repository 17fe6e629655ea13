"""Nested fragments: a change of an inner one reaches the outer ones, without a write to them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from fragcache import Fragment, get_fragment, get_fragments, invalidate, invalidate_all, registry
from fragcache.events import Event
from fragcache.explaining import explain
from fragcache.store import store
from tests.fixtures import (
    Clock,
    RoundTrips,
    any_cache,
    elsewhere,
    happened,
    in_request,
    on_target,
    warm,
)
from tests.library.models import Album, Artist, Shelf

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cache_alias")]
ALBUM = "library.album_card"
CARD = "library.artist_card"
SHELF = '{% fragment "library.shelf" shelf %}'


@pytest.fixture
def albums(artists: list[Artist]) -> list[Album]:
    nina, ella = artists
    return Album.objects.bulk_create(
        [
            Album(title="Pastel Blues", artist=nina, updated_at=timezone.now()),
            Album(title="Ella in Berlin", artist=ella, updated_at=timezone.now()),
        ]
    )


@pytest.fixture
def show_album(declare: Any, templates: Any, renders: list[Any], artist_card: Fragment) -> Any:
    """Declare the outer fragment with this in the place of its inner one."""

    def show_album(inner: str, **options: Any) -> Fragment:
        templates({"album_card.html": "{% load fragcache %}{{ album.title }} by " + inner})

        def album_card(album: Album) -> dict[str, Any]:
            renders.append(album.title)
            return {"album": album, "card": CARD}

        declared = {"items": Album.objects.select_related("artist"), "version": "updated_at"}
        fragment: Fragment = declare("album_card.html", name=ALBUM, **declared | options)(
            album_card
        )
        return fragment

    return show_album


@pytest.fixture
def album_card(show_album: Any) -> Any:
    return show_album('{% fragment "library.artist_card" album.artist %}')


@pytest.mark.parametrize("version", ["revision", lambda shelf: shelf.revision])
def test_an_inner_one_whose_key_is_of_two_columns(
    declare: Any, templates: Any, renders: list[Any], version: Any
) -> None:
    templates({"shelf.html": "{{ shelf }}", "room.html": "{% load fragcache %}{{ a }}" + SHELF})
    inner = {"items": Shelf.objects.all, "version": version, "name": "library.shelf"}
    declare("shelf.html", **inner)(lambda shelf: {"shelf": shelf})

    @declare("room.html", name="library.room")
    def room() -> dict[str, Any]:
        renders.append("room")
        return {"a": "In it ", "shelf": Shelf.objects.get()}

    Shelf.objects.create(number=3, label="A to K")
    for label, revision in (("A to K", 1), ("A to L", 2)):
        Shelf.objects.update(label=label, revision=revision)
        for _time in range(2):
            assert get_fragment("library.room") == f"In it {label}"
        assert renders == ["room"] * revision


def rename(artist: Artist, name: str) -> None:
    later = Artist.objects.get(pk=artist.pk).updated_at + dt.timedelta(seconds=1)
    Artist.objects.filter(pk=artist.pk).update(name=name, updated_at=later)


@any_cache
class TestVersions:
    @pytest.mark.parametrize("argument", ["album.artist", "album.artist_id"])
    def test_a_new_version_of_an_inner_one_is_shown_by_the_outer_one(
        self, show_album: Any, albums: list[Album], argument: str, renders: list[Any]
    ) -> None:
        show_album('{% fragment "library.artist_card" ' + argument + " %}")
        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Nina</b>"
        renders.clear()

        rename(albums[0].artist, "Nina Simone")

        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Nina Simone</b>"
        assert renders == ["Pastel Blues", albums[0].artist_id]
        with elsewhere():
            assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Nina Simone</b>"
        assert renders == ["Pastel Blues", albums[0].artist_id]

    def test_the_outer_ones_are_rendered_for_no_other_reason(
        self,
        album_card: Fragment,
        albums: list[Album],
        artists: list[Artist],
        renders: list[Any],
        trips: RoundTrips,
        django_assert_num_queries: Any,
    ) -> None:
        get_fragments(ALBUM, albums)
        another = Artist.objects.create(name="Billie")
        renders.clear()
        rename(another, "Billie Holiday")
        store().local.clear()
        trips.clear()

        with elsewhere(), django_assert_num_queries(1):
            get_fragments(ALBUM, albums)

        assert renders == []
        assert len(trips) == 1

    def test_only_those_that_show_what_changed_are_rendered_again(
        self, album_card: Fragment, albums: list[Album], renders: list[Any]
    ) -> None:
        get_fragments(ALBUM, albums)
        renders.clear()

        rename(albums[1].artist, "Ella Fitzgerald")

        assert get_fragments(ALBUM, albums) == [
            "Pastel Blues by <b>Nina</b>",
            "Ella in Berlin by <b>Ella Fitzgerald</b>",
        ]
        assert renders == ["Ella in Berlin", albums[1].artist_id]

    def test_a_row_that_is_deleted_or_comes_back(
        self, show_album: Any, albums: list[Album], artists: list[Artist]
    ) -> None:
        ella = artists[1]
        show_album(f'{{% fragment "library.artist_card" {ella.pk} %}}')
        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Ella</b>"

        Artist.objects.filter(pk=ella.pk).delete()
        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by "

        Artist.objects.create(pk=ella.pk, name="Ella again")
        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Ella again</b>"

    @pytest.mark.parametrize("is_known", [False, True], ids=["rendered", "found"])
    def test_through_one_in_between(
        self,
        declare: Any,
        templates: Any,
        album_card: Fragment,
        albums: list[Album],
        is_known: bool,
    ) -> None:
        templates({"page.html": '{% load fragcache %}[{% fragment "library.album_card" pk %}]'})

        @declare("page.html", version=lambda pk: 1)
        def page(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        pk = albums[0].pk
        if is_known:
            get_fragment(ALBUM, pk)
        assert get_fragment(page, pk) == "[Pastel Blues by <b>Nina</b>]"

        rename(albums[0].artist, "Nina Simone")
        assert get_fragment(page, pk) == "[Pastel Blues by <b>Nina Simone</b>]"

        Album.objects.filter(pk=pk).update(title="Blues", updated_at=timezone.now())
        assert get_fragment(page, pk) == "[Blues by <b>Nina Simone</b>]"

    def test_of_many_in_one_tag(
        self,
        declare: Any,
        templates: Any,
        artist_card: Fragment,
        artists: list[Artist],
        django_assert_num_queries: Any,
    ) -> None:
        templates({"all.html": '{% load fragcache %}{% fragments "library.artist_card" artists %}'})

        @declare("all.html", version=lambda: 1)
        def everyone() -> dict[str, Any]:
            return {"artists": Artist.objects.order_by("pk")}

        assert get_fragment(everyone) == "<b>Nina</b><b>Ella</b>"
        rename(artists[1], "Ella Fitzgerald")
        assert get_fragment(everyone) == "<b>Nina</b><b>Ella Fitzgerald</b>"
        with django_assert_num_queries(1):
            get_fragment(everyone)

    def test_that_python_asked_for(
        self, declare: Any, templates: Any, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        templates({"around.html": "({{ card }})"})

        @declare("around.html", version=lambda pk: 1)
        def around(pk: int) -> dict[str, Any]:
            return {"card": get_fragment(CARD, pk)}

        assert get_fragment(around, artists[0].pk) == "(<b>Nina</b>)"
        rename(artists[0], "Nina Simone")
        assert get_fragment(around, artists[0].pk) == "(<b>Nina Simone</b>)"


@any_cache
class TestComputedVersions:
    @pytest.mark.parametrize(
        "arguments",
        ["artist 'full'", "artist.pk 'full'"],
    )
    def test_are_computed_again_of_the_same_arguments(
        self, declare: Any, templates: Any, artists: list[Artist], arguments: str
    ) -> None:
        templates(
            {
                "inner.html": "{{ artist.name }}",
                "outer.html": f'{{% load fragcache %}}{{% fragment "library.inner" {arguments} %}}',
            }
        )

        @declare(
            "inner.html",
            name="library.inner",
            version=lambda artist, size: artist.updated_at,
            model=Artist,
        )
        def inner(artist: Artist, size: str) -> dict[str, Any]:
            return {"artist": artist}

        @declare("outer.html", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"artist": Artist.objects.get(pk=pk)}

        assert get_fragment(outer, artists[0].pk) == "Nina"
        rename(artists[0], "Nina Simone")
        assert get_fragment(outer, artists[0].pk) == "Nina Simone"
        assert happened(Event.NOT_STORED) == 0

    def test_of_rows_whose_fragment_has_no_model(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates(
            {
                "inner.html": "{{ artist.name }}",
                "outer.html": '{% load fragcache %}{% fragment "library.inner" artist %}',
            }
        )

        @declare("inner.html", name="library.inner", version=lambda artist: artist.updated_at)
        def inner(artist: Any) -> dict[str, Any]:
            return {"artist": artist}

        @declare("outer.html", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"artist": Artist.objects.get(pk=pk)}

        assert get_fragment(outer, artists[0].pk) == "Nina"
        rename(artists[0], "Nina Simone")
        assert get_fragment(outer, artists[0].pk) == "Nina Simone"

    def test_that_cannot_be_asked_for_again_are_shown_by_nothing_stored(
        self, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates(
            {
                "inner.html": "{{ day }}",
                "outer.html": '{% load fragcache %}{% fragment "library.inner" day %}',
            }
        )

        @declare("inner.html", name="library.inner", version=lambda day: 1)
        def inner(day: dt.date) -> dict[str, Any]:
            return {"day": day.isoformat()}

        @declare("outer.html", name="library.outer", version=lambda: 1)
        def outer() -> dict[str, Any]:
            return {"day": dt.date(2026, 11, 21)}

        assert get_fragment(outer) == "2026-11-21"
        assert "no form in JSON" in caplog.text
        assert "datetime.date" not in caplog.text  # values are not logged
        assert happened(Event.NOT_STORED, "library.outer") == 1
        assert happened(Event.STORED, "library.outer") == 0

    def test_that_fail_are_an_error_of_the_render(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates(
            {
                "inner.html": "inner",
                "outer.html": '{% load fragcache %}{% fragment "library.inner" pk %}',
            }
        )
        is_broken = False

        def version(pk: int) -> int:
            if is_broken:
                raise RuntimeError("no version")
            return 1

        @declare("inner.html", name="library.inner", version=version)
        def inner(pk: int) -> dict[str, Any]:
            return {}

        @declare("outer.html", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        get_fragment(outer, 1)
        is_broken = True
        with pytest.raises(RuntimeError, match="no version"):
            get_fragment(outer, 1)


class TestTokens:
    @pytest.fixture
    def hit_count(self, declare: Any, templates: Any) -> dict[int, int]:
        """How often each artist was hit, which a fragment without a version shows."""
        hits = {1: 10, 2: 20}
        templates({"hits.html": "{{ hits }} hits"})

        @declare("hits.html", name="library.hits", timeout=600)
        def hit_count(pk: int) -> dict[str, Any]:
            return {"hits": hits[pk]}

        return hits

    @pytest.fixture
    def outer(self, declare: Any, templates: Any, hit_count: dict[int, int]) -> Any:
        templates({"outer.html": '{% load fragcache %}<{% fragment "library.hits" pk %}>'})

        @declare("outer.html", name="library.outer", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        return outer

    def test_an_invalidated_instance(
        self, outer: Any, hit_count: dict[int, int], renders: list[Any]
    ) -> None:
        assert get_fragments(outer, [1, 2]) == ["<10 hits>", "<20 hits>"]
        hit_count.update({1: 11, 2: 21})

        invalidate("library.hits", 1)

        assert get_fragments(outer, [1, 2]) == ["<11 hits>", "<20 hits>"]
        assert happened(Event.RENDERED, "library.outer") == 3
        assert get_fragments(outer, [1, 2]) == ["<11 hits>", "<20 hits>"]
        assert happened(Event.RENDERED, "library.outer") == 3

    def test_an_invalidated_fragment(self, outer: Any, hit_count: dict[int, int]) -> None:
        get_fragments(outer, [1, 2])
        hit_count.update({1: 11, 2: 21})

        with elsewhere():
            invalidate_all("library.hits")

        with elsewhere():
            assert get_fragments(outer, [1, 2]) == ["<11 hits>", "<21 hits>"]

    def test_time_that_is_over_inside(
        self, outer: Any, hit_count: dict[int, int], clock: Clock
    ) -> None:
        get_fragment("library.hits", 1)
        clock.step(400)
        assert get_fragment(outer, 1) == "<10 hits>"
        hit_count[1] = 11
        clock.step(199)
        assert get_fragment(outer, 1) == "<10 hits>"
        clock.step(2)
        assert get_fragment(outer, 1) == "<11 hits>"

    def test_in_a_transaction_of_ones_own(
        self, outer: Any, hit_count: dict[int, int], transactional_db: None
    ) -> None:
        from django.db import transaction

        get_fragment(outer, 1)
        hit_count[1] = 11
        with transaction.atomic():
            invalidate("library.hits", 1)
            assert get_fragment(outer, 1) == "<11 hits>"
        assert get_fragment(outer, 1) == "<11 hits>"


@any_cache
class TestCode:
    def test_of_one_that_a_variable_names(
        self, show_album: Any, albums: list[Album], templates: Any
    ) -> None:
        show_album("{% fragment card album.artist %}")
        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Nina</b>"

        fragment = registry.get(CARD)
        fragment.revision = "2"
        from fragcache import digests

        digests.forget()
        templates({"artist_card.html": "<i>{{ artist.name }}</i>"})

        assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <i>Nina</i>"

    def test_one_that_is_not_declared_any_more(self, show_album: Any, albums: list[Album]) -> None:
        show_album("{% if card %}{% fragment card album.artist %}{% endif %}")
        get_fragment(ALBUM, albums[0])
        removed = registry.get(CARD)
        registry.remove(CARD)
        try:
            with pytest.raises(LookupError, match="artist_card"):
                get_fragment(ALBUM, albums[0])
        finally:
            registry.add(removed)


class TestWarming:
    def test_what_shows_a_changed_one_is_due(
        self, album_card: Fragment, albums: list[Album], renders: list[Any]
    ) -> None:
        warm(album_card)
        assert warm(album_card).totals.rendered == 0
        rename(albums[0].artist, "Nina Simone")
        renders.clear()

        assert warm(album_card).totals.rendered == 1
        assert "Pastel Blues" in renders
        assert warm(album_card).totals.rendered == 0

    @pytest.mark.parametrize("name", ['"library.artist_card"', "card"])
    def test_a_run_that_reads_changed_rows_only_sees_it(
        self, show_album: Any, albums: list[Album], name: str
    ) -> None:
        # Longer ago than what such a run reads again in any case.
        Album.objects.update(updated_at=timezone.now() - dt.timedelta(days=2))
        Artist.objects.update(updated_at=timezone.now() - dt.timedelta(days=2))
        album_card = show_album(f"{{% fragment {name} album.artist %}}")
        warm(album_card, changed=True)
        warm(album_card, changed=True)
        rename(albums[0].artist, "Nina Simone")

        assert warm(album_card, changed=True).totals.rendered == 1

    def test_a_dry_run_and_an_explanation_make_no_token_of_an_inner_one(
        self, album_card: Fragment, albums: list[Album], trips: RoundTrips
    ) -> None:
        warm(album_card)
        tokens = [key for trip in trips for key in trip.keys if key.startswith(f"fc1:{CARD}#")]
        store().backend.delete_many(tokens)
        trips.clear()

        with elsewhere():
            assert warm(album_card, dry=True).totals.due == 2
            explain(album_card, store(), albums[0].pk)

        assert tokens
        assert {trip.command for trip in trips} == {"get_many"}

    def test_time_that_is_over_inside(
        self, declare: Any, templates: Any, album_card: Any, albums: list[Album], clock: Clock
    ) -> None:
        templates(
            {
                "now.html": "now",
                "album_card.html": "{% load fragcache %}{% fragment 'library.now' %}",
            }
        )

        @declare("now.html", name="library.now", timeout=60)
        def now() -> dict[str, Any]:
            return {}

        from fragcache import digests

        digests.forget()
        warm(album_card)
        assert warm(album_card).totals.rendered == 0
        clock.step(61)
        assert warm(album_card).totals.rendered == 2


@any_cache
class TestStale:
    def test_a_changed_one_is_shown_stale_where_that_is_allowed(
        self, show_album: Any, albums: list[Album]
    ) -> None:
        show_album('{% fragment "library.artist_card" album.artist %}', stale_while_revalidate=60)
        with in_request():
            get_fragment(ALBUM, albums[0])
        rename(albums[0].artist, "Nina Simone")

        with in_request():
            assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Nina</b>"
        assert happened(Event.STALE_SERVED, ALBUM) == 1
        with in_request():
            assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Nina Simone</b>"

    def test_an_invalidated_one_is_not(
        self, show_album: Any, albums: list[Album], artists: list[Artist]
    ) -> None:
        show_album('{% fragment "library.artist_card" album.artist %}', stale_while_revalidate=60)
        with in_request():
            get_fragment(ALBUM, albums[0])
        Artist.objects.update(name="Anonymous")
        with elsewhere():
            invalidate_all(CARD)

        with elsewhere(), in_request():
            assert get_fragment(ALBUM, albums[0]) == "Pastel Blues by <b>Anonymous</b>"


@any_cache
class TestTargets:
    def test_show_what_an_invalidated_one_was_until_it_is_warmed(
        self, album_card: Fragment, albums: list[Album]
    ) -> None:
        warm(registry.get(CARD), album_card)
        with elsewhere():
            invalidate_all(CARD)

        with elsewhere(), on_target(ALBUM, CARD):
            assert get_fragment(ALBUM, albums[0].pk) == "Pastel Blues by <b>Nina</b>"
            assert happened(Event.STALE_SERVED, ALBUM) == 1

    def test_show_nothing_of_a_purged_one(self, album_card: Fragment, albums: list[Album]) -> None:
        warm(registry.get(CARD), album_card)
        with elsewhere():
            invalidate_all(CARD, purge=True)

        with elsewhere(), on_target(ALBUM, CARD):
            assert get_fragment(ALBUM, albums[0].pk, default="") == ""

    def test_ask_their_database_for_nothing(
        self, album_card: Fragment, albums: list[Album], django_assert_num_queries: Any
    ) -> None:
        warm(registry.get(CARD), album_card)
        with elsewhere(), on_target(ALBUM, CARD), django_assert_num_queries(0):
            assert get_fragment(ALBUM, albums[0].pk) == "Pastel Blues by <b>Nina</b>"
        assert happened(Event.HIT, ALBUM) == 1

    def test_their_own_fragments_follow_what_a_source_warms(
        self, artist_card: Fragment, artists: list[Artist], declare: Any, templates: Any
    ) -> None:
        templates({"own.html": '{% load fragcache %}"{% fragment "library.artist_card" pk %}"'})

        @declare("own.html", version=lambda pk: 1)
        def own(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        pk = artists[0].pk
        warm(artist_card)
        with on_target(CARD, READ_ONLY=False):
            assert get_fragment(own, pk) == '"<b>Nina</b>"'
        rename(artists[0], "Nina Simone")
        warm(artist_card)
        with on_target(CARD, READ_ONLY=False):
            assert get_fragment(own, pk) == '"<b>Nina Simone</b>"'
