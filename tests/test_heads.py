"""Heads: written after what they name, for those who find entries by them, and put right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from fragcache import Fragment, axes, get_fragment
from fragcache.digests import digest_of
from fragcache.events import Event
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import base_key, encode_axes, encode_version, entry_key, suffix
from fragcache.records import Head
from fragcache.store import store
from fragcache.warming import Plan, Run, Status
from tests.fixtures import RoundTrips, any_cache, happened, in_request, on_target, warm
from tests.library.models import Artist
from tests.odd_caches import RefusesLargeValues

pytestmark = pytest.mark.django_db
A_SECOND = dt.timedelta(seconds=1)


def change(artist: Artist, name: str, *, later: dt.timedelta = A_SECOND) -> None:
    Artist.objects.filter(pk=artist.pk).update(name=name, updated_at=artist.updated_at + later)


def shown_on_target(fragment: Fragment, *args: Any) -> Any:
    with on_target(fragment.name):
        return get_fragment(fragment.name, *args, default=None)


class TestOrder:
    def test_entries_come_first(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        """A head that came first would name what a reader cannot find yet."""
        warm(artist_card)

        commands = [trip.command for trip in trips.writes if "!" not in trip.keys[0]]
        assert commands == ["add_many", "store_many", "advance_many"]  # tokens, entries, heads

    @any_cache
    def test_entries_that_could_not_be_followed_by_heads_harm_nobody(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The cache went down between the two."""
        warm(artist_card)
        change(artists[0], "Nina Simone")
        with monkeypatch.context() as patched:
            patched.setattr(type(store().backend), "advance_many", fails)
            with pytest.raises(CacheUnavailable, match="OSError: gone"):
                Run(Plan(fragments=[artist_card])).execute()

        assert shown_on_target(artist_card, artists[0].pk) == "<b>Nina</b>"
        assert warm(artist_card).totals.rendered == 1
        assert shown_on_target(artist_card, artists[0].pk) == "<b>Nina Simone</b>"

    def test_heads_name_only_entries_that_were_confirmed(
        self, use_backend: Callable[..., str], declare: Any, templates: Any
    ) -> None:
        use_backend(RefusesLargeValues)
        templates({"x.html": "{{ text }}"})
        texts = {"first": "a text", "second": "another"}

        @declare("x.html", name="library.text", items=list(texts), version=lambda key: texts[key])
        def x(key: str) -> dict[str, Any]:
            return {"text": texts[key]}

        warm(x)
        texts |= {"first": "a text " * 1000, "second": "another one"}

        report = Run(Plan(fragments=[x])).execute()

        assert report.status is Status.FAILED
        assert (report.totals.stored, report.totals.refused) == (1, 1)
        assert happened(Event.REFUSED, "library.text") == 1
        assert shown_on_target(x, "first") == "a text"
        assert shown_on_target(x, "second") == "another one"
        assert get_fragment(x, "first") == "a text " * 1000  # a page shows it all the same


def fails(*_args: Any) -> None:
    raise OSError("gone")


@any_cache
def test_heads_outlive_all_that_a_run_extends(
    cache_alias: str, declare: Any, templates: Any, trips: RoundTrips
) -> None:
    """An entry is extended up to its max_age, and found by its head for as long as it lives."""
    templates({"x.html": "x"})

    @declare("x.html", items=["a"], version=len, timeout=60, max_age=600, stale_if_error=30)
    def x(word: str) -> dict[str, Any]:
        return {}

    warm(x)

    [entries] = [trip for trip in trips.of("store_many") if "!" not in trip.keys[0]]
    [heads] = trips.of("advance_many")
    assert (entries.timeout, heads.timeout) == (60 + 30, 600 + 60 + 30)


class TestSuperseded:
    @pytest.mark.parametrize(
        ("options", "seconds"),
        [({}, 60), ({"stale_while_revalidate": 600}, 600), ({"stale_if_error": 3600}, 3600)],
        ids=["alone", "stale_while_revalidate", "stale_if_error"],
    )
    @any_cache
    def test_an_entrys_life_is_cut_to_what_stale_serving_needs(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        trips: RoundTrips,
        options: dict[str, Any],
        seconds: float,
    ) -> None:
        """Else a cache holds as many states of everything as its time-out is long."""
        templates({"x.html": "{{ artist }}"})

        @declare("x.html", items=Artist.objects.all, version="updated_at", **options)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        warm(x)
        former = trips.of("store_many")[0].keys
        change(artists[0], "Nina Simone")
        trips.clear()

        warm(x)

        [superseded] = [trip for trip in trips.of("touch_many") if trip.timeout == seconds]
        assert len(superseded.keys) == 1
        assert set(superseded.keys) < set(former)

    def test_an_entry_is_found_as_long_as_pages_may_hold_its_head(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(artist_card)
        former = set(trips.of("store_many")[0].keys)
        change(artists[0], "Nina Simone")
        warm(artist_card)

        assert store().fetch_many(former).keys() == former

    def test_an_entry_is_named_as_the_predecessor(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(artist_card)
        heads = trips.of("advance_many")[0].keys
        former = {key: Head.unpack(e.payload) for key, e in store().read_many(heads).items()}
        change(artists[0], "Nina Simone")
        warm(artist_card)
        warm(artist_card, force=True)  # the same state once more

        head = Head.unpack(store().read_many(heads)[heads[0]].payload)

        assert head.suffix != former[heads[0]].suffix
        assert head.predecessor == former[heads[0]].suffix


class TestWhoHasThem:
    @pytest.mark.parametrize(
        ("options", "is_request", "has_heads"),
        [
            ({"version": "updated_at", "items": Artist.objects.all}, True, True),
            ({"version": "updated_at", "items": Artist.objects.all}, False, False),
            ({"version": "updated_at", "model": Artist}, True, False),
            (
                {"version": "updated_at", "model": Artist, "stale_while_revalidate": 60},
                True,
                True,
            ),
            ({"model": Artist}, True, True),
            ({"model": Artist}, False, True),
        ],
        ids=[
            "warmed: a request's page moves them",
            "warmed: an object of unknown age, outside of a request, does not",
            "on demand with a version: nobody looks for one",
            "stale_while_revalidate: they name the stale entry",
            "without version: how else to find it",
            "without version, outside of a request",
        ],
    )
    @any_cache
    def test_heads_are_written_where_they_are_needed(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        trips: RoundTrips,
        options: dict[str, Any],
        is_request: bool,
        has_heads: bool,
    ) -> None:
        templates({"x.html": "{{ artist }}"})

        @declare("x.html", **options)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        if is_request:
            with in_request():
                get_fragment(x, artists[0])
        else:
            get_fragment(x, artists[0])

        heads = [key for trip in trips.of("advance_many") for key in trip.keys]
        assert len(heads) == int(has_heads)


class TestTruth:
    def test_a_page_that_began_earlier_does_not_put_the_former_state_back(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """A slow page, over which a warm run has passed."""
        warm(artist_card)
        with in_request():
            in_the_views_hands = Artist.objects.get(pk=artists[0].pk)
            change(artists[0], "Nina Simone")
            warm(artist_card)

            Artist.objects.filter(pk=artists[0].pk).update(name="Nina")
            store().delete_many(entry_keys(artist_card, in_the_views_hands))
            assert get_fragment(artist_card, in_the_views_hands) == "<b>Nina</b>"

        assert shown_on_target(artist_card, artists[0].pk) == "<b>Nina Simone</b>"

    def test_a_run_after_a_restore_puts_the_former_state_back(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """mtimes went back, by which the head would be the later one."""
        change(artists[0], "Nina Simone")
        warm(artist_card)
        change(artists[0], "Nina", later=-A_SECOND)

        warm(artist_card)

        assert shown_on_target(artist_card, artists[0].pk) == "<b>Nina</b>"

    def test_a_run_corrects_a_head_by_a_clock_that_is_ahead(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        """The database was moved to a machine whose clock is three seconds late."""
        warm(artist_card)
        heads = store().read_many(trips.of("advance_many")[0].keys)
        ahead = {key: head._replace(as_of=head.as_of + 3_000_000) for key, head in heads.items()}
        store().write_many(ahead, None)
        change(artists[0], "Nina Simone")

        warm(artist_card)

        assert shown_on_target(artist_card, artists[0].pk) == "<b>Nina Simone</b>"

    @any_cache
    def test_each_digest_has_its_own(
        self, cache_alias: str, greeting: Fragment, templates: Any
    ) -> None:
        """Old and new workers, side by side in a deployment, never show each other's HTML."""
        old = digest_of(greeting)
        assert get_fragment(greeting, "you") == "Hello you"

        templates({"greeting.html": "Good day {{ name }}"})
        assert digest_of(greeting) != old
        assert get_fragment(greeting, "you") == "Good day you"

        templates({"greeting.html": "Hello {{ name }}"})
        assert digest_of(greeting) == old
        assert get_fragment(greeting, "you") == "Hello you"
        assert happened(Event.RENDERED) == 2


def entry_keys(fragment: Fragment, artist: Artist) -> list[str]:
    """Return the key of an artist's entry, as a page computes it."""
    instance = fragment.parameters.instance((artist,))
    values = encode_axes(axes.current_values(fragment.axes, None))
    version = suffix(encode_version(artist.updated_at), digest_of(fragment))
    base = base_key(fragment.name, instance.encoded, values)
    return [entry_key(base, version, store().room)]
