"""The local cache: how long a copy in process memory is shown, also where its server is gone."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from fragcache import Fragment, conf, tokens
from fragcache.events import Event
from fragcache.store import Store, store
from tests.fixtures import Clock, RoundTrips, any_cache, elsewhere, happened, on_target, warm
from tests.library.models import Artist
from tests.pages import AFTER_THE_LAG, NEW, OLD, later, rename, shown
from tests.processes import Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(artist_card: Fragment, artists: list[Artist]) -> Callable[[], list[str]]:
    """A page of two instances, which this process holds; one row has changed since."""
    assert shown(artist_card, artists) == OLD
    rename(artists[0], "Nina Simone")
    return lambda: shown(artist_card, artists)


class TestAge:
    @any_cache
    @pytest.mark.parametrize(("seconds", "expected"), [(9, OLD), (11, NEW)])
    def test_a_copy_is_shown_until_max_age(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        clock: Clock,
        seconds: int,
        expected: list[str],
    ) -> None:
        templates({"x.html": "<b>{{ artist }}</b>"})

        @declare("x.html", items=Artist.objects.all, version="updated_at", max_age=10)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        shown(x, artists)
        rename(artists[0], "Nina Simone")
        clock.step(seconds)

        assert shown(x, artists) == expected

    @any_cache
    @pytest.mark.parametrize(("timeout", "seconds"), [(None, 60), (86_400, 60), (10, 10)], ids=str)
    def test_what_is_overwritten_or_removed_on_the_server_is_seen_within_a_minute(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        clock: Clock,
        trips: RoundTrips,
        timeout: float | None,
        seconds: float,
    ) -> None:
        """Or when the entry's own life ends, which may be sooner."""
        templates({"x.html": "<b>{{ artist }}</b>"})
        options: Any = {"items": Artist.objects.all, "version": "updated_at", "timeout": timeout}

        @declare("x.html", **options)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        shown(x, artists)
        (entries,) = trips.of("store_many")
        found = store().read_many(entries.keys)
        overwritten = {
            key: entry._replace(payload=entry.payload.replace(b"Nina", b"Nina Simone"))
            for key, entry in found.items()
        }
        store().write_many(overwritten, 600)

        clock.step(seconds - 1)
        assert shown(x, artists) == OLD
        clock.step(2)
        assert shown(x, artists) == NEW

    @any_cache
    @pytest.mark.parametrize(("purge", "expected"), [(False, OLD), (True, [None, None])])
    def test_a_target_shows_stale_copies_but_none_that_was_purged(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        purge: bool,
        expected: list[Any],
    ) -> None:
        warm(artist_card)
        source = Store(cache_alias, conf.settings().secret_keys, read_only=False)
        pks = [artist.pk for artist in artists]
        with on_target(artist_card.name):
            assert shown(artist_card.name, pks) == OLD
            with elsewhere():
                tokens.replace(source, [artist_card.token_name], purge=purge)

            with later(AFTER_THE_LAG):
                assert shown(artist_card.name, pks, default=None) == expected


class TestServers:
    @pytest.fixture(params=["redis", "memcached"])
    def server(
        self, request: pytest.FixtureRequest, start_server: Callable[[str], Server], settings: Any
    ) -> Server:
        """A server of the test's own, as the one that fragments are kept in."""
        server = start_server(request.param)
        own = {**settings.CACHES[request.param], "LOCATION": server.address}
        settings.CACHES = {**settings.CACHES, "own": own}
        settings.FRAGCACHE = {"CACHE_ALIAS": "own"}
        return server

    def test_copies_are_shown_while_one_is_gone_until_their_tokens_must_be_read(
        self, server: Server, held: Callable[[], list[str]]
    ) -> None:
        server.stop(signal.SIGKILL)

        rendered = happened(Event.RENDERED)
        assert held() == OLD
        assert happened(Event.CACHE_ERROR) == 0
        assert happened(Event.RENDERED) == rendered
        with later(AFTER_THE_LAG):
            held()  # rendered, as without a cache, from the objects that the caller has
        assert happened(Event.CACHE_ERROR) >= 1
        assert happened(Event.RENDERED) == rendered + len(OLD)

    def test_copies_end_with_one_that_comes_back_empty(
        self, server: Server, held: Callable[[], list[str]]
    ) -> None:
        """As it does when somebody flushes it: tokens are lost, and so is what was made under."""
        server.stop(signal.SIGKILL)
        server.start()

        with later(AFTER_THE_LAG):
            assert held() == NEW
