"""Version and data from one database: what a lagging replica tells is never kept as new."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.test import override_settings

from fragcache import Fragment, collection_version, databases, get_fragment
from fragcache.events import Event
from fragcache.warming import Plan, Run, Status
from tests.fixtures import any_cache, happened, in_request, warm
from tests.library.models import Album, Artist
from tests.routers import replicate

pytestmark = [
    pytest.mark.django_db(databases=["default", "second"]),
    any_cache,
    pytest.mark.usefixtures("cache_alias"),
]

Route = Callable[..., None]


@pytest.fixture
def nina() -> Artist:
    """An artist with an album, whom the replica has as well."""
    nina = Artist.objects.create(name="Nina")
    Album.objects.create(title="Pastel Blues", artist=nina)
    replicate(Artist, Album)
    return nina


@pytest.fixture
def page(declare: Any, templates: Any) -> Fragment:
    """A fragment of an artist and the albums, whose changes move the artist's mtime."""
    templates({"page.html": "{{ artist }}: {{ artist.albums.all|join:', ' }}"})

    @declare("page.html", name="library.page", items=Artist.objects.all, version="updated_at")
    def page(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    fragment: Fragment = page
    return fragment


def rename(artist: Artist, name: str) -> Artist:
    """Rename an artist and the album on the primary; return the artist as it is there."""
    later = artist.updated_at + dt.timedelta(seconds=1)
    models.QuerySet(Artist, using="default").update(name=name, updated_at=later)
    models.QuerySet(Album, using="default").update(title=f"{name} live")
    return models.QuerySet(Artist, using="default").get(pk=artist.pk)


def show(page: Fragment, *args: Any) -> str:
    with in_request():
        return str(get_fragment(page, *args))


def of_its_row(_model: Any, hints: Any) -> str:
    """Read related rows where the first one was read, as the message says."""
    instance = hints.get("instance")
    return (instance and instance._state.db) or "second"


class TestAReplicaThatLags:
    def test_what_was_saved_and_is_read_elsewhere_is_shown_and_not_stored(
        self, route: Route, nina: Artist, page: Fragment, caplog: pytest.LogCaptureFixture
    ) -> None:
        route(reads="second")
        saved = rename(nina, "Nina Simone")

        assert show(page, saved) == "Nina Simone: Pastel Blues"  # half of it is the replica's

        assert happened(Event.STORED) == 0
        assert happened(Event.NOT_STORED, page.name) == 1
        assert (
            "library.page is not stored: its version was read from the database default, and its "
            "data from second, which may lag behind."
        ) in caplog.text
        replicate(Artist, Album)
        assert show(page, saved) == "Nina Simone: Nina Simone live"

    def test_what_follows_its_row_is_stored(
        self, route: Route, nina: Artist, page: Fragment
    ) -> None:
        route(reads=of_its_row)
        saved = rename(nina, "Nina Simone")

        assert show(page, saved) == show(page, saved) == "Nina Simone: Nina Simone live"
        assert happened(Event.STORED) == 1

    def test_a_page_that_reads_nothing_but_the_replica_is_stored_as_old_as_it_is(
        self, route: Route, nina: Artist, page: Fragment
    ) -> None:
        route(reads="second")
        rename(nina, "Nina Simone")

        assert show(page, nina.pk) == show(page, nina.pk) == "Nina: Pastel Blues"
        assert happened(Event.STORED) == 1
        replicate(Artist, Album)
        assert show(page, nina.pk) == "Nina Simone: Nina Simone live"

    def test_newer_data_under_the_version_of_a_replica_is_stored(
        self, route: Route, nina: Artist, page: Fragment
    ) -> None:
        """It is right now, and will not be asked for when the replica has it as well."""
        artist = Artist.objects.using("second").get()
        rename(nina, "Nina Simone")
        route(reads="default")

        assert show(page, artist) == "Nina: Nina Simone live"
        assert happened(Event.STORED) == 1

    def test_a_version_that_a_function_reads_counts_as_well(
        self, route: Route, nina: Artist, declare: Any, templates: Any
    ) -> None:
        templates({"list.html": "{{ albums|join:', ' }}"})

        @declare(
            "list.html",
            name="library.list",
            version=lambda: collection_version(
                Artist.objects.using("default").all(), field="updated_at"
            ),
        )
        def listed() -> dict[str, Any]:
            return {"albums": Album.objects.all()}

        route(reads="second")
        rename(nina, "Nina Simone")
        assert show(listed) == "Pastel Blues"
        assert happened(Event.STORED) == 0

        route(reads="default")
        assert show(listed) == "Nina Simone live"
        assert happened(Event.STORED) == 1

    def test_what_a_version_reaches_over_a_relation_counts_as_well(
        self, route: Route, nina: Artist, declare: Any, templates: Any
    ) -> None:
        templates({"album.html": "{{ album.artist }}: {{ album }}"})

        @declare("album.html", items=Album.objects.all, version="artist__updated_at")
        def of_album(album: Album) -> dict[str, Any]:
            return {"album": album}

        route(reads="second")
        album = Album.objects.using("second").get()
        album.artist = rename(nina, "Nina Simone")

        show(of_album, album)
        assert happened(Event.STORED) == 0

    def test_a_run_refuses_it_and_says_why(
        self, route: Route, nina: Artist, page: Fragment, caplog: pytest.LogCaptureFixture
    ) -> None:
        route(reads=lambda model, _hints: "second" if model is Album else "default")

        report = Run(Plan(fragments=[page])).execute()

        assert report.status is Status.FAILED
        assert (report.totals.stored, report.totals.refused) == (0, 1)
        assert "and its data from second, which may lag behind" in caplog.text

    def test_a_run_that_reads_the_replica_alone_is_good(
        self, route: Route, nina: Artist, page: Fragment
    ) -> None:
        route(reads="second")

        assert warm(page).totals.stored == 1

    def test_rows_are_read_where_their_versions_were_whatever_the_router_draws(
        self, route: Route, nina: Artist, declare: Any, templates: Any
    ) -> None:
        templates({"card.html": "{{ artist }}"})

        @declare("card.html", items=Artist.objects.all, version="updated_at")
        def card(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        route(reads=lambda _model, _hints: random.choice(["default", "second"]))
        rename(nina, "Nina Simone")
        fresh = models.QuerySet(Artist, using="default").get()
        for _page in range(10):
            assert show(card, fresh) == "Nina Simone"
        assert happened(Event.STORED) == 1


class TestOtherDatabases:
    def test_data_of_two_primaries_is_stored(
        self, nina: Artist, page: Fragment, route: Route, settings: Any
    ) -> None:
        """Nothing that is read there is written elsewhere."""
        settings.DATABASE_ROUTERS = [ByModel()]

        assert show(page, nina) == "Nina: Pastel Blues"
        assert happened(Event.STORED) == 1

    def test_data_of_a_database_that_no_router_knows_is_stored(
        self, nina: Artist, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ artist }}{{ albums|join:', ' }}"})

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist, "albums": Album.objects.using("second")}

        assert show(x, nina) == "NinaPastel Blues"
        assert happened(Event.STORED) == 1

    def test_one_that_the_settings_call_a_mirror_is_a_replica(
        self, nina: Artist, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert databases.behind({"default", "second"}, {"default"}) == []
        monkeypatch.setitem(databases.connections["second"].settings_dict["TEST"], "MIRROR", "x")

        assert databases.behind({"default", "second"}, {"default"}) == ["second"]
        assert databases.behind({"default", "second"}, {"default", "second"}) == ["second"]
        assert databases.behind({"default", "second"}, {"second"}) == []
        assert databases.behind({"second"}, set()) == []


class ByModel:
    """Albums lie in a database of their own."""

    def db_for_read(self, model: type[models.Model], **_hints: Any) -> str:
        return "second" if model is Album else "default"

    db_for_write = db_for_read

    def allow_relation(self, *_objects: Any, **_hints: Any) -> bool:
        return True


def test_of_many_pages_over_replicas_that_lag_none_stores_the_old_under_a_new_version(
    route: Route, nina: Artist, page: Fragment
) -> None:
    """Reads go to the primary or the replica by lot, for each query; the replica lags by some."""
    lot = random.Random(4)
    route(reads=lambda _model, _hints: lot.choice(["default", "second"]))
    stored = stale = 0
    for number in range(400):
        saved = rename(nina, f"Nina {number}")
        nina.updated_at = saved.updated_at
        if lot.random() < 0.3:
            replicate(Artist, Album)
        before = happened(Event.STORED)
        show(page, saved if lot.random() < 0.5 else nina.pk)
        stored += happened(Event.STORED) > before
        with override_settings(DATABASE_ROUTERS=[]):
            stale += show(page, saved) != f"Nina {number}: Nina {number} live"

    assert stale == 0
    assert stored > 100, "nothing would be proved if nothing were ever stored"
