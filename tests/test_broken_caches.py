"""Pages outlive their cache: where it is down, and where what it holds was altered."""

from __future__ import annotations

import logging
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.template import engines

from fragcache import Fragment, counters, get_fragment, get_fragments
from fragcache.entry import Field, Kind, pack_fields
from fragcache.events import Event, Miss
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, happened, in_request, without_local_cache
from tests.library.models import Artist
from tests.odd_caches import Full
from tests.processes import free_port

pytestmark = [pytest.mark.django_db, without_local_cache]


class TestDown:
    @pytest.fixture(params=["redis", "memcached", "embedded"])
    def down(self, request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
        """A cache that cannot be reached, as the one that fragments are kept in."""
        no_directory = tmp_path / "file"
        no_directory.touch()
        location = {
            "redis": f"redis://127.0.0.1:{free_port()}/0",
            "memcached": f"127.0.0.1:{free_port()}",
            "embedded": str(no_directory / "cache.sqlite3"),
        }[request.param]
        kind = settings.CACHES.get(request.param)
        if kind is None:
            pytest.skip(f"{request.param} is not in use")
        settings.CACHES = {**settings.CACHES, "down": {**kind, "LOCATION": location}}
        settings.FRAGCACHE = {"CACHE_ALIAS": "down"}
        return "down"

    def test_pages_are_rendered_and_the_failure_is_counted(
        self, down: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        for reads in (1, 2):
            with in_request():
                assert get_fragments(artist_card, artists) == ["<b>Nina</b>", "<b>Ella</b>"]
            assert happened(Event.CACHE_ERROR) == reads
            assert happened(Event.NOT_STORED, "library.artist_card") == 2 * reads

    def test_they_cost_no_query_that_they_would_not_cost_without_a_cache(
        self,
        down: str,
        artist_card: Fragment,
        artists: list[Artist],
        django_assert_num_queries: Any,
    ) -> None:
        with in_request(), django_assert_num_queries(0):
            for artist in artists:
                get_fragment(artist_card, artist)

    def test_once_it_is_left_alone_versions_are_not_asked_for_in_vain(
        self,
        down: str,
        artist_card: Fragment,
        artists: list[Artist],
        django_assert_num_queries: Any,
    ) -> None:
        keys = [artist.pk for artist in artists]
        gone = max(keys) + 1
        with in_request(), django_assert_num_queries(2):  # of versions, and of rows
            get_fragments(artist_card, keys)
        store().reads.fail(was_waited_for=True)
        with in_request(), django_assert_num_queries(1):
            shown = get_fragments(artist_card, [*keys, gone, keys[0]], default="none")

        assert shown == ["<b>Nina</b>", "<b>Ella</b>", "none", "<b>Nina</b>"]
        assert happened(Event.GUARD_OPEN) == 1
        assert happened(Event.MISSING, "library.artist_card") == 2 + 4
        reasons = [sheet.get(Miss.GUARD, 0) for sheet in counters.sheets().values()]
        assert sum(reasons) == 2 + 4

    def test_fragments_without_version_are_rendered(self, down: str, greeting: Fragment) -> None:
        assert get_fragment(greeting, "you") == "Hello you"

    def test_tags_print_what_is_rendered(
        self, down: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        source = "{% load fragcache %}{% fragments 'library.artist_card' artists %}"
        template = engines["django"].from_string(source)

        assert template.render({"artists": artists}) == "<b>Nina</b><b>Ella</b>"

    def test_fragments_of_another_site_are_missing(self, down: str) -> None:
        """Nobody can tell whether the name is known; that is no reason for an error page."""
        assert get_fragment("library.elsewhere", 1, default=None) is None
        source = "{% load fragcache %}({% fragment 'library.elsewhere' 1 %})"
        assert engines["django"].from_string(source).render() == "()"

    def test_it_is_logged_once_a_minute(
        self,
        down: str,
        artist_card: Fragment,
        artists: list[Artist],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for _read in range(3):
            get_fragments(artist_card, artists)

        record, opened = caplog.records
        assert "is open: it is not asked until it answers" in opened.message
        assert (record.name, record.levelno) == ("fragcache", logging.WARNING)
        assert record.message.startswith("The cache is unavailable: alias 'down': ")


class TestWritesThatFail:
    def test_the_page_is_rendered(
        self,
        use_backend: Any,
        artist_card: Fragment,
        artists: list[Artist],
    ) -> None:
        use_backend(Full)

        for _read in range(2):
            assert get_fragments(artist_card, artists) == ["<b>Nina</b>", "<b>Ella</b>"]
        assert happened(Event.CACHE_ERROR) == 2
        assert happened(Event.STORED) == 0


class TestAltered:
    @pytest.fixture
    def stored(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> tuple[str, str]:
        """The keys under which the entries of two instances are stored."""
        get_fragments(artist_card, artists)
        [trip] = trips.of("store_many")
        first, second = trip.keys
        return first, second

    @pytest.fixture
    def assert_replaced(
        self, artist_card: Fragment, artists: list[Artist], stored: tuple[str, str]
    ) -> Callable[[Event], None]:
        def assert_replaced(event: Event) -> None:
            for _read in range(2):
                assert get_fragments(artist_card, artists) == ["<b>Nina</b>", "<b>Ella</b>"]
            assert happened(event) == 1
            assert happened(Event.RENDERED) == 2 + 1
            assert happened(Event.MISSING) == 2 + 1

        return assert_replaced

    @pytest.mark.parametrize(
        ("position", "event"),
        [
            pytest.param(0, Event.UNBELIEVED, id="magic"),
            pytest.param(2, Event.UNBELIEVED, id="format"),
            pytest.param(3, Event.UNBELIEVED, id="kind"),
            pytest.param(7, Event.UNBELIEVED, id="header's length"),
            pytest.param(8, Event.UNBELIEVED, id="as_of"),
            pytest.param(24, Event.UNBELIEVED, id="fresh_until"),
            pytest.param(32, Event.UNKNOWN_KEY, id="key's fingerprint"),
            pytest.param(40, Event.UNBELIEVED, id="tokens"),
            pytest.param(-20, Event.UNBELIEVED, id="MAC"),
            pytest.param(-1, Event.UNBELIEVED, id="payload"),
        ],
    )
    def test_a_flipped_byte_makes_an_entry_a_miss_that_is_replaced(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        assert_replaced: Callable[[Event], None],
        position: int,
        event: Event,
    ) -> None:
        data = bytearray(caches[cache_alias].get(stored[0]))
        data[position] ^= 0xFF
        caches[cache_alias].set(stored[0], bytes(data))

        assert_replaced(event)

    @pytest.mark.parametrize("length", [0, 1, 40, -1])
    def test_a_part_of_an_entry_is_a_miss_that_is_replaced(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        assert_replaced: Callable[[Event], None],
        length: int,
    ) -> None:
        cache = caches[cache_alias]
        cache.set(stored[0], cache.get(stored[0])[:length])

        assert_replaced(Event.UNBELIEVED)

    def test_another_keys_entry_is_a_miss_that_is_replaced(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        assert_replaced: Callable[[Event], None],
    ) -> None:
        cache = caches[cache_alias]
        cache.set(stored[0], cache.get(stored[1]))

        assert_replaced(Event.UNBELIEVED)

    def test_a_pickle_is_a_miss_that_is_replaced_and_never_loaded(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        assert_replaced: Callable[[Event], None],
    ) -> None:
        caches[cache_alias].set(stored[0], pickle.dumps(Bomb()))

        assert_replaced(Event.UNBELIEVED)
        assert not Bomb.has_exploded

    @any_cache
    def test_an_entry_that_needs_what_this_release_lacks_is_a_miss(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        assert_replaced: Callable[[Event], None],
    ) -> None:
        """A later release's compressed entry, say, must not be shown as it is."""
        [entry] = store().read_many([stored[0]]).values()
        later = entry._replace(tagged=pack_fields({Field.COMPRESSION: b"zstd"}) + entry.tagged)
        store().write_many({stored[0]: later}, None)

        assert_replaced(Event.UNBELIEVED)

    @any_cache
    def test_a_record_of_another_kind_is_a_miss(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        artist_card: Fragment,
        artists: list[Artist],
    ) -> None:
        """A context snapshot, say, is no HTML."""
        [entry] = store().read_many([stored[0]]).values()
        store().write_many({stored[0]: entry._replace(kind=Kind.SNAPSHOT)}, None)

        for _read in range(2):
            assert get_fragments(artist_card, artists) == ["<b>Nina</b>", "<b>Ella</b>"]
        assert happened(Event.RENDERED) == 2 + 1

    def test_a_log_line_names_the_fragment_and_the_reason(
        self,
        cache_alias: str,
        stored: tuple[str, str],
        assert_replaced: Callable[[Event], None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caches[cache_alias].set(stored[0], b"fc" + struct.pack(">BBI", 99, 69, 0) + bytes(100))

        assert_replaced(Event.UNBELIEVED)
        [record] = caplog.records
        assert record.message == (
            f"'fc1:library.artist_card:...' in the cache alias {cache_alias!r} is not believed: "
            "unknown format."
        )


class Bomb:
    has_exploded = False

    @staticmethod
    def explode() -> None:
        Bomb.has_exploded = True

    def __reduce__(self) -> Any:
        return Bomb.explode, ()
