"""A batch is read from one state of the database, which it cannot change; and how many queries."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from fragcache import get_fragment, invalidate_all
from fragcache.store import store
from fragcache.warming import Status, allowance
from tests.fixtures import any_cache, elsewhere
from tests.library.models import Album, Artist
from tests.warming import counted, warm

pytestmark = [any_cache, pytest.mark.usefixtures("cache_alias")]

needs_postgresql = pytest.mark.skipif(
    "postgresql" not in connections.settings["default"]["ENGINE"], reason="needs PostgreSQL"
)


@pytest.fixture
def nina(transactional_db: None) -> Artist:
    artist = Artist.objects.create(name="Nina")
    Album.objects.create(title="Live", artist=artist)
    return artist


IN_DATABASE = {
    "BACKEND": "django.core.cache.backends.db.DatabaseCache",
    "LOCATION": "fragcache_test_cache",
}


@pytest.fixture(autouse=True)
def without_caches_in_the_database(settings: Any) -> None:
    settings.CACHES = {name: c for name, c in settings.CACHES.items() if name != "database"}


@needs_postgresql
class TestOneState:
    def test_what_others_commit_during_a_batch_is_not_seen(
        self, nina: Artist, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ names|join:' ' }}"})
        seen = []

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            names = [artist.name]
            in_another_connection("UPDATE library_artist SET name = 'Ella'")
            names.append(Artist.objects.get().name)
            seen.extend(names)
            return {"names": names}

        warm(x)
        assert seen == ["Nina", "Nina"]
        assert Artist.objects.get().name == "Ella"

    def test_an_instance_that_writes_is_named_with_the_remedy(
        self, nina: Artist, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            Artist.objects.update(name="counted")
            return {}

        report = warm(x)
        assert (report.status, report.totals.failed) == (Status.FAILED, 1)
        assert (
            "library.x writes to the database while it is rendered: cannot execute UPDATE in a "
            "read-only transaction. Batches of warm_fragments read only; write somewhere else, or "
            "set FRAGCACHE['READ_ONLY_BATCHES'] = False."
        ) in caplog.text
        assert Artist.objects.get().name == "Nina"

    def test_the_setting_allows_it(
        self, nina: Artist, declare: Any, templates: Any, settings: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "READ_ONLY_BATCHES": False}
        templates({"x.html": ""})

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            Artist.objects.update(name="counted")
            return {}

        assert warm(x).status is Status.OK
        assert Artist.objects.get().name == "counted"

    def test_a_statement_that_takes_too_long_fails_its_instance_alone(
        self,
        nina: Artist,
        declare: Any,
        templates: Any,
        settings: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "STATEMENT_TIMEOUT": 0.1}
        Artist.objects.create(name="Ella")
        templates({"x.html": ""})

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [5 if artist.name == "Nina" else 0])
            return {}

        began = time.monotonic()
        assert counted(warm(x)) == {"planned": 2, "rendered": 1, "stored": 1, "failed": 1}
        assert time.monotonic() - began < 4
        assert "statement timeout" in caplog.text

    def test_a_database_that_fails_for_all_is_not_asked_for_each(
        self, nina: Artist, declare: Any, templates: Any, settings: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "STATEMENT_TIMEOUT": 0.05}
        Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(20))
        templates({"x.html": ""})
        asked = []

        @declare("x.html", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            asked.append(artist)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(5)")
            return {}

        report = warm(x)
        assert report.status is Status.FAILED
        assert len(asked) == 4  # as a batch, then three alone

    def test_no_transaction_is_left_open(self, nina: Artist, artist_card: Any) -> None:
        warm(artist_card)
        assert connection.get_autocommit()
        assert not connection.in_atomic_block

    def test_a_batch_takes_one_more_round_trip(self, nina: Artist, artist_card: Any) -> None:
        with CaptureQueriesContext(connection) as queries:
            warm(artist_card)

        [opening] = [query["sql"] for query in queries if "TRANSACTION" in query["sql"]]
        mode = "ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        assert opening == f"SET TRANSACTION {mode}; SET LOCAL statement_timeout = 30000"

    def test_a_cache_in_the_database_may_write(
        self, nina: Artist, artist_card: Any, settings: Any
    ) -> None:
        settings.CACHES = {**settings.CACHES, "database": IN_DATABASE}
        with CaptureQueriesContext(connection) as queries:
            warm(artist_card)

        [opening] = [query["sql"] for query in queries if "TRANSACTION" in query["sql"]]
        assert "READ ONLY" not in opening


@needs_postgresql
class TestInnerFragments:
    """They are stored by the rules of a page that began before the transaction."""

    def test_they_are_stored_once_for_all_that_show_them(
        self, nina: Artist, declare: Any, templates: Any, artist_card: Any, renders: list[int]
    ) -> None:
        Album.objects.create(title="Pastel Blues", artist=nina)
        templates({"album.html": "{% load fragcache %}{% fragment 'library.artist_card' artist %}"})

        @declare("album.html", items=Album.objects.all, version="updated_at")
        def album(album: Album) -> dict[str, Any]:
            return {"artist": nina}

        assert counted(warm(album))["stored"] == 2
        assert renders == [nina.pk]
        assert get_fragment(artist_card, nina) == "<b>Nina</b>"
        assert renders == [nina.pk]

    def test_what_is_invalidated_during_a_batch_is_not_stored_under_the_new_token(
        self, nina: Artist, declare: Any, templates: Any, artist_card: Any, renders: list[int]
    ) -> None:
        """The data is of before the change, the inner fragment's token would be of after it."""
        templates({"album.html": "{% load fragcache %}{% fragment 'library.artist_card' artist %}"})
        changes = [True]

        @declare("album.html", items=Album.objects.all, version="updated_at")
        def album(album: Album) -> dict[str, Any]:
            if changes:
                changes.clear()
                # Without an mtime; hence the invalidation.
                in_another_connection("UPDATE library_artist SET name = 'Ella'")
                with elsewhere():
                    invalidate_all(artist_card)
            return {"artist": Artist.objects.get()}

        warm(album)
        store().local.clear()
        assert get_fragment(artist_card, Artist.objects.get()) == "<b>Ella</b>"


class TestQueries:
    @pytest.fixture
    def many(self, db: None) -> Artist:
        artist = Artist.objects.create(name="Nina")
        Album.objects.bulk_create(Album(title=f"{n}", artist=artist) for n in range(20))
        return artist

    @pytest.mark.parametrize("where", ["context", "template"])
    def test_a_fragment_that_makes_its_own_for_each_instance_is_named_once(
        self,
        many: Artist,
        declare: Any,
        templates: Any,
        caplog: pytest.LogCaptureFixture,
        where: str,
    ) -> None:
        templates({"x.html": "{{ album.artist.name }}" if where == "template" else "{{ name }}"})

        @declare("x.html", name="library.x", items=Album.objects.all, version="updated_at")
        def x(album: Album) -> dict[str, Any]:
            return {"album": album} if where == "template" else {"name": album.artist.name}

        warm(x)
        warm(x, force=True)
        said = (
            "library.x makes queries for each instance: 21 for a batch of 20. Name the relations "
            "in prefetch_related, select them in items, or return the contexts of a batch from "
            "get_contexts()."
        )
        assert warnings(caplog) == [said, said]

    def test_one_that_does_not_is_not(
        self, many: Artist, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": "{{ album.artist.name }}"})

        @declare(
            "x.html",
            items=Album.objects.select_related("artist").all,
            version="updated_at",
            prefetch_related=["tracks"],
        )
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        warm(x)
        assert warnings(caplog) == []

    def test_one_of_which_a_batch_was_read_one_by_one_is_not(
        self, many: Artist, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": "{{ album.title }}"})

        @declare("x.html", items=Album.objects.all, version="updated_at")
        def x(album: Album) -> dict[str, Any]:
            return {"album": album, "number": 1 // (int(album.title) - 7)}

        assert warm(x).totals.failed == 1
        assert warnings(caplog) == []

    def test_one_that_is_rendered_in_small_portions_is_not(
        self,
        many: Artist,
        declare: Any,
        templates: Any,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(allowance, "PORTION", 0.0001)
        templates({"x.html": "{{ album.title }}"})

        @declare("x.html", items=Album.objects.all, version="updated_at")
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        assert warm(x, max_rate=10_000).totals.stored == 20
        assert warnings(caplog) == []

    def test_a_few_instances_tell_nothing(
        self, many: Artist, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        Album.objects.filter(title="0").delete()
        templates({"x.html": "{{ album.artist.name }}"})

        @declare("x.html", items=Album.objects.all, version="updated_at")
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        warm(x)
        assert warnings(caplog) == []


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "fragcache.warm" and record.levelno == logging.WARNING
    ]


def in_another_connection(statement: str) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(statement)
    finally:
        other.close()
