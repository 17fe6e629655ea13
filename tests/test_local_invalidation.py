"""The local cache: a copy in process memory is not shown after an invalidation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.db import transaction

from fragcache import Fragment, get_fragment, get_fragments, invalidate, invalidate_all
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, elsewhere, in_request
from tests.library.models import Artist
from tests.pages import (
    AFTER_THE_LAG,
    NEW,
    OLD,
    SHARED,
    configure,
    in_thread,
    later,
    rename,
    shared_caches,
    shown,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(artist_card: Fragment, artists: list[Artist]) -> Callable[[], list[str]]:
    """A page of two instances, which this process holds; one row has changed since."""
    assert shown(artist_card, artists) == OLD
    rename(artists[0], "Nina Simone")
    return lambda: shown(artist_card, artists)


@pytest.fixture
def stamped(declare: Any, templates: Any) -> Fragment:
    """A fragment of each artist, whose instances can be invalidated."""
    templates({"stamped.html": "<b>{{ artist.name }}</b>"})

    @declare("stamped.html", items=Artist.objects.all, version="updated_at", stamped=True)
    def stamped(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    fragment: Fragment = stamped
    return fragment


class TestInvalidation:
    @pytest.mark.parametrize("cache_alias", [*SHARED, "locmem"], indirect=True)
    def test_clearing_the_cache_forgets_the_copies(
        self, cache_alias: str, held: Callable[[], list[str]]
    ) -> None:
        assert held() == OLD
        caches[cache_alias].clear()
        assert held() == NEW

    @shared_caches
    @pytest.mark.parametrize("change", [invalidate, invalidate_all])
    @pytest.mark.parametrize("run", [in_thread, lambda call: call()], ids=["thread", "here"])
    def test_counts_at_once_in_this_process(
        self, cache_alias: str, stamped: Fragment, artists: list[Artist], change: Any, run: Any
    ) -> None:
        shown(stamped, artists)
        rename(artists[0], "Nina Simone")
        pks = [artists[0].pk] if change is invalidate else []

        run(lambda: change(stamped, *pks))

        assert shown(stamped, artists) == NEW

    @shared_caches
    @pytest.mark.parametrize("change", [invalidate, invalidate_all])
    def test_by_another_process_counts_after_the_lag(
        self, cache_alias: str, stamped: Fragment, artists: list[Artist], change: Any
    ) -> None:
        shown(stamped, artists)
        rename(artists[0], "Nina Simone")
        with elsewhere():
            change(stamped, *([artists[0].pk] if change is invalidate else []))

        assert shown(stamped, artists) == OLD
        with later(AFTER_THE_LAG):
            assert shown(stamped, artists) == NEW

    @shared_caches
    def test_by_another_process_counts_at_once_without_a_lag(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        with configure(INVALIDATION_LAG=0):
            shown(artist_card, artists)
            rename(artists[0], "Nina Simone")
            with elsewhere():
                invalidate_all(artist_card)

            assert shown(artist_card, artists) == NEW

    @any_cache
    def test_by_another_process_counts_within_a_second_of_a_long_page(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """As one that streams, or a request of a worker that runs for minutes."""
        with configure(INVALIDATION_LAG=0), in_request():
            assert get_fragments(artist_card, artists) == OLD
            rename(artists[0], "Nina Simone")
            with elsewhere():
                invalidate_all(artist_card)

            assert get_fragments(artist_card, artists) == OLD
            with later(1.1):
                assert get_fragments(artist_card, artists) == NEW

    @any_cache
    def test_of_one_instance_leaves_the_others_in_memory(
        self, cache_alias: str, stamped: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        shown(stamped, artists)
        rename(artists[1], "Ella Fitzgerald")
        invalidate(stamped, artists[0])
        trips.clear()

        assert shown(stamped, artists[1:]) == OLD[1:]
        assert trips == []

    @any_cache
    def test_in_an_open_transaction_counts_there_and_nowhere_else(
        self, cache_alias: str, artist_card: Fragment, held: Callable[[], list[str]]
    ) -> None:
        with transaction.atomic():
            invalidate_all(artist_card)
            assert held() == NEW
            assert in_thread(held) == OLD  # from memory: its database would be empty
            transaction.set_rollback(True)
        assert held() == OLD

    @any_cache
    def test_what_was_stored_in_place_of_a_copy_is_fetched_and_kept(
        self,
        cache_alias: str,
        artist_card: Fragment,
        held: Callable[[], list[str]],
        artists: list[Artist],
        renders: list[int],
        trips: RoundTrips,
    ) -> None:
        """Another process invalidated, and rendered the same rows anew."""
        mine = dict(store().local._young)
        with elsewhere():
            invalidate_all(artist_card)
            shown(artist_card, artists)
        store().local.clear()
        store().local.keep(mine)
        renders.clear()

        with later(AFTER_THE_LAG):
            assert held() == NEW
            trips.clear()
            assert held() == NEW
        assert renders == []
        assert trips == []


class TestStrictness:
    """What is stored must not take over a copy that an invalidation has made old."""

    @any_cache
    def test_inside_of_a_render_inner_fragments_are_read_under_the_tokens_of_this_page(
        self,
        cache_alias: str,
        artist_card: Fragment,
        held: Callable[[], list[str]],
        artists: list[Artist],
        declare: Any,
        templates: Any,
    ) -> None:
        source = "{% load fragcache %}{{ number }}: {% fragment 'library.artist_card' artist %}"
        templates({"outer.html": source})

        @declare("outer.html", name="library.outer", version=lambda number: number)
        def outer(number: int) -> dict[str, Any]:
            return {"number": number, "artist": artists[0]}

        with elsewhere():
            invalidate_all(artist_card)
        with in_request():
            assert get_fragments(artist_card, artists) == OLD
            assert get_fragment(outer, 1) == "1: <b>Nina Simone</b>"
        assert shown(outer, [1, 2]) == ["1: <b>Nina Simone</b>", "2: <b>Nina Simone</b>"]
