"""Why an instance was missed: each reason that the counters know, and what each is known by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone, translation

from fragcache import (
    FragmentMissing,
    conf,
    counters,
    digests,
    get_fragment,
    invalidate,
    invalidate_all,
)
from fragcache.bubbling import note_unstorable
from fragcache.events import Event
from fragcache.reading import traces
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, counted, in_request, on_target, reasons, warm
from tests.library.models import Artist
from tests.pages import configure, later

NAME = "library.artist_card"
pytestmark = [pytest.mark.django_db, pytest.mark.without_local_cache, any_cache]
Missed = Callable[..., dict[str, int]]
leased = pytest.mark.leases


@pytest.fixture
def missed(cache_alias: str) -> Missed:
    """A function that reads in a request, and returns why it was missed."""

    def missed(name: str, *args: Any) -> dict[str, int]:
        counters.reset()
        with in_request():
            get_fragment(name, *args)
        return reasons()

    return missed


@pytest.fixture
def nina(artists: list[Artist]) -> Artist:
    return artists[0]


def changed(artist: Artist) -> Artist:
    artist.updated_at = timezone.now() + dt.timedelta(seconds=1)
    artist.save()
    return artist


class Evictor:
    """What makes the cache lose what was stored last, as when it is full."""

    def __init__(self, trips: RoundTrips) -> None:
        self._trips = trips

    def evict(self) -> None:
        store().delete_many(self._trips.of("store_many")[-1].keys)


@pytest.fixture
def evictor(cache_alias: str, trips: RoundTrips) -> Evictor:
    return Evictor(trips)


class TestByVersion:
    def test_cold_where_the_cache_knows_nothing_of_the_fragment(
        self, missed: Missed, artist_card: Any, nina: Artist
    ) -> None:
        assert missed(NAME, nina) == {"COLD": 1}

    def test_missing_where_the_cache_knows_the_fragment_and_not_the_instance(
        self, missed: Missed, artist_card: Any, artists: list[Artist]
    ) -> None:
        missed(NAME, artists[0])
        assert missed(NAME, artists[1]) == {"MISSING": 1}

    def test_new_version_of_what_this_process_has_stored(
        self, missed: Missed, artist_card: Any, nina: Artist
    ) -> None:
        known(missed, NAME, nina)
        assert missed(NAME, changed(nina)) == {"NEW_VERSION": 1}

    def test_new_axis_value_of_an_instance_that_is_there_under_others(
        self, missed: Missed, artist_card: Any, nina: Artist
    ) -> None:
        known(missed, NAME, nina)
        with translation.override("de"):
            assert missed(NAME, nina) == {"NEW_AXIS_VALUE": 1}
            assert missed(NAME, nina) == {}

    def test_new_digest_of_what_this_process_has_stored(
        self, missed: Missed, artist_card: Any, nina: Artist, templates: Any
    ) -> None:
        known(missed, NAME, nina)
        templates({"artist_card.html": "<i>{{ artist.name }}</i>"})
        digests.forget()
        assert missed(NAME, nina) == {"NEW_DIGEST": 1}

    def test_evicted_where_it_was_stored_by_this_process_and_is_gone_before_its_time(
        self, missed: Missed, artist_card: Any, nina: Artist, evictor: Evictor
    ) -> None:
        known(missed, NAME, nina)
        evictor.evict()
        assert missed(NAME, nina) == {"EVICTED": 1}

    def test_expired_where_it_was_stored_by_this_process_and_its_time_is_over(
        self, missed: Missed, artist_card: Any, nina: Artist, evictor: Evictor, clock: Any
    ) -> None:
        known(missed, NAME, nina)
        evictor.evict()
        clock.step(2 * 86_400)
        assert missed(NAME, nina) == {"EXPIRED": 1}

    def test_invalidated_where_its_token_was_replaced(
        self, missed: Missed, artist_card: Any, nina: Artist
    ) -> None:
        known(missed, NAME, nina)
        invalidate_all(NAME)
        assert missed(NAME, nina) == {"INVALIDATED": 1}

    def test_refused_where_this_process_could_not_store_it(
        self, missed: Missed, declare: Any, templates: Any
    ) -> None:
        templates({"n.html": "{{ n }}"})

        @declare("n.html", name="library.n", version=lambda _n: 1)
        def numbered(n: int) -> dict[str, Any]:
            note_unstorable()
            return {"n": n}

        known(missed, "library.n", 1)
        assert missed("library.n", 1) == {"REFUSED": 1}

    def test_inner_where_what_it_shows_of_another_has_changed(
        self, missed: Missed, artist_card: Any, nina: Artist, declare: Any, templates: Any
    ) -> None:
        templates(
            {
                "artist_card.html": "<b>{{ artist.name }}</b>",
                "outer.html": "{% load fragcache %}{% fragment 'library.artist_card' pk %}",
            }
        )

        @declare("outer.html", name="library.outer", version=lambda _pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        known(missed, "library.outer", nina.pk)
        changed(nina)
        assert missed("library.outer", nina.pk)["INNER"] == 1

    @pytest.mark.parametrize(
        ("place", "reason"), [(32, "UNKNOWN_KEY"), (-1, "UNVERIFIABLE")], ids=["key", "payload"]
    )
    def test_what_is_not_believed_is_told_from_what_is_not_there(
        self,
        missed: Missed,
        artist_card: Any,
        nina: Artist,
        trips: RoundTrips,
        place: int,
        reason: str,
    ) -> None:
        known(missed, NAME, nina)
        (key,) = trips.of("store_many")[-1].keys
        sealed = bytearray(store().backend.get(key))
        sealed[place] ^= 1
        store().backend.set(key, bytes(sealed), 60)
        assert missed(NAME, nina) == {reason: 1}

    def test_guard_where_the_cache_was_not_asked(
        self, missed: Missed, artist_card: Any, nina: Artist, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known(missed, NAME, nina)
        monkeypatch.setattr(store().reads, "allows", lambda: False)
        with later(conf.settings().INVALIDATION_LAG + 1):
            assert missed(NAME, nina) == {"GUARD": 1}


class TestWhatOtherProcessesHaveStored:
    """Heads tell of it, where they are read anyway: with the lease, or for what is stale."""

    @leased
    @pytest.mark.parametrize("state", ["changed", "evicted", "new code", "never warmed"])
    def test_is_told_by_the_head_that_comes_along_with_the_look_under_a_lease(
        self,
        missed: Missed,
        artist_card: Any,
        artists: list[Artist],
        trips: RoundTrips,
        templates: Any,
        state: str,
    ) -> None:
        nina = artists[0]
        warm(artist_card)
        expected = {"changed": "NEW_VERSION", "evicted": "EVICTED", "new code": "NEW_DIGEST"}
        if state == "changed":
            changed(nina)
        elif state == "evicted":
            store().delete_many(trips.of("store_many")[0].keys)
        elif state == "new code":
            templates({"artist_card.html": "<i>{{ artist.name }}</i>"})
            digests.forget()
        else:
            nina = Artist.objects.create(name="Etta")
        trips.clear()

        assert missed(NAME, nina) == {expected.get(state, "COLD"): 1}
        # The lookup, and the look under the lease.
        assert len(trips.of("get_many")) == 2

    @pytest.mark.parametrize("state", ["changed", "evicted"])
    def test_is_told_by_the_rows_that_were_fetched_where_copies_are_kept(
        self,
        missed: Missed,
        artist_card: Any,
        nina: Artist,
        trips: RoundTrips,
        state: str,
    ) -> None:
        warm(artist_card)
        with configure(LOCAL_MAX_BYTES=100_000):
            assert missed(NAME, nina) == {}
            if state == "changed":
                assert missed(NAME, changed(nina)) == {"NEW_VERSION": 1}
            else:
                store().delete_many(trips.of("store_many")[0].keys)
                store().local.clear()
                assert missed(NAME, nina) == {"EVICTED": 1}

    def test_is_told_by_the_head_of_what_is_served_stale(
        self, missed: Missed, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"artist.html": "{{ artist.name }}"})

        @declare(
            "artist.html",
            name="library.stale",
            items=Artist.objects.all,
            version="updated_at",
            stale_while_revalidate=600,
        )
        def stale(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        warm(stale)
        assert missed("library.stale", changed(artists[0])) == {"NEW_VERSION": 1}
        assert counted(Event.STALE_SERVED, "library.stale") == 1


class TestByHead:
    def test_cold_where_there_is_no_head(self, missed: Missed, greeting: Any) -> None:
        assert missed("library.greeting", "Ann") == {"COLD": 1}
        known(missed, "library.greeting", "Ann")
        assert missed("library.greeting", "Bea") == {"COLD": 1}

    def test_evicted_where_the_head_names_what_is_gone(
        self, missed: Missed, greeting: Any, evictor: Evictor
    ) -> None:
        known(missed, "library.greeting", "Ann")
        traces.forget()
        evictor.evict()
        assert missed("library.greeting", "Ann") == {"EVICTED": 1}

    def test_expired_where_what_it_names_is_too_old(
        self, missed: Missed, declare: Any, templates: Any, clock: Any
    ) -> None:
        templates({"n.html": "{{ n }}"})
        declare("n.html", name="library.n", timeout=60)(lambda n: {"n": n})
        known(missed, "library.n", 1)
        clock.step(61)
        assert missed("library.n", 1) == {"EXPIRED": 1}

    def test_invalidated_where_its_stamp_was_replaced(self, missed: Missed, greeting: Any) -> None:
        known(missed, "library.greeting", "Ann")
        invalidate("library.greeting", "Ann")
        assert missed("library.greeting", "Ann") == {"INVALIDATED": 1}

    def test_a_target_counts_what_it_misses_and_what_it_serves_stale(
        self, missed: Missed, greeting: Any, artist_card: Any, nina: Artist
    ) -> None:
        warm(artist_card)
        with on_target(NAME):
            assert missed(NAME, nina.pk) == {}
            assert counted(Event.HIT, NAME) == 1
        invalidate_all(NAME)
        with on_target(NAME):
            assert missed(NAME, nina.pk) == {"INVALIDATED": 1}
            assert counted(Event.STALE_SERVED, NAME) == 1
            with pytest.raises(FragmentMissing):
                missed(NAME, nina.pk + 1_000)
            assert reasons() == {"COLD": 1}


def known(missed: Missed, name: str, *args: Any) -> None:
    """Let the page miss, and another one: what is made on a page may be stored on the next."""
    missed(name, *args)
    missed(name, *args)
