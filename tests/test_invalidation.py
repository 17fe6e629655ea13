"""Invalidating: what was made before is not current any more, for one, many, or all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from fragcache import (
    CacheUnavailable,
    Fragment,
    ImproperlyDeclared,
    InvalidArguments,
    UnknownFragment,
    ainvalidate,
    ainvalidate_all,
    ainvalidate_many,
    get_fragments,
    invalidate,
    invalidate_all,
    invalidate_many,
)
from fragcache.events import Event
from fragcache.invalidation import ATTEMPTS
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, happened
from tests.library.models import Artist
from tests.odd_caches import Full
from tests.processes import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def stamped(declare: Any, templates: Any, renders: list[Any]) -> Fragment:
    """A fragment of each artist with a version, of which single instances can be invalidated."""
    templates({"stamped.html": "<u>{{ artist }}</u>"})

    @declare(
        "stamped.html",
        name="library.stamped",
        items=Artist.objects.all,
        version="updated_at",
        stamped=True,
    )
    def stamped(artist: Artist) -> dict[str, Any]:
        renders.append(artist.name)
        return {"artist": artist}

    fragment: Fragment = stamped
    return fragment


@pytest.fixture
def unversioned(declare: Any, templates: Any, renders: list[Any]) -> Fragment:
    """The same without a version."""
    templates({"unversioned.html": "<u>{{ artist }}</u>"})

    @declare("unversioned.html", name="library.unversioned", items=Artist.objects.all)
    def unversioned(artist: Artist) -> dict[str, Any]:
        renders.append(artist.name)
        return {"artist": artist}

    fragment: Fragment = unversioned
    return fragment


@pytest.fixture
def rendered_again(artists: list[Artist], renders: list[str]) -> Callable[..., list[str]]:
    """A function that tells which artists a page renders after a change."""

    def rendered_again(fragment: Fragment, change: Callable[[], Any]) -> list[str]:
        get_fragments(fragment, artists)
        get_fragments(fragment, artists)
        assert renders == ["Nina", "Ella"]
        change()
        renders.clear()
        get_fragments(fragment, artists)
        again = list(renders)
        get_fragments(fragment, artists)
        assert renders == again  # and it is stored
        return again

    return rendered_again


@pytest.mark.parametrize("fragment", ["stamped", "unversioned"])
class TestReach:
    @pytest.fixture
    def f(self, fragment: str, request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue(fragment)

    @pytest.mark.parametrize("form", ["object", "pk", "text", "keyword"])
    def test_invalidate_reaches_one_instance(
        self, cache_alias: str, f: Fragment, artists: list[Artist], rendered_again: Any, form: str
    ) -> None:
        nina = artists[0]
        args, kwargs = {
            "object": ((nina,), {}),
            "pk": ((nina.pk,), {}),
            "text": ((str(nina.pk),), {}),
            "keyword": ((), {"artist": nina}),
        }[form]

        assert rendered_again(f, lambda: invalidate(f, *args, **kwargs)) == ["Nina"]

    def test_invalidate_many_reaches_those_that_are_named(
        self, cache_alias: str, f: Fragment, artists: list[Artist], rendered_again: Any
    ) -> None:
        assert rendered_again(f, lambda: invalidate_many(f, artists)) == ["Nina", "Ella"]

    @any_cache
    def test_invalidate_many_of_none_reaches_none(
        self, cache_alias: str, f: Fragment, rendered_again: Any
    ) -> None:
        """An empty list must never wipe everything."""
        assert rendered_again(f, lambda: invalidate_many(f, [])) == []

    def test_invalidate_all_reaches_all(
        self, cache_alias: str, f: Fragment, rendered_again: Any
    ) -> None:
        assert rendered_again(f, lambda: invalidate_all(f.name)) == ["Nina", "Ella"]

    @any_cache
    def test_async_forms_reach_the_same(
        self, cache_alias: str, f: Fragment, artists: list[Artist], rendered_again: Any
    ) -> None:
        assert rendered_again(f, lambda: async_to_sync(ainvalidate)(f, artists[1])) == ["Ella"]

    @any_cache
    @pytest.mark.parametrize("change", [ainvalidate_many, ainvalidate_all])
    def test_async_bulk_forms_reach_the_same(
        self, cache_alias: str, f: Fragment, artists: list[Artist], rendered_again: Any, change: Any
    ) -> None:
        args = (f, artists) if change is ainvalidate_many else (f,)
        assert rendered_again(f, lambda: async_to_sync(change)(*args)) == ["Nina", "Ella"]


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestLimits:
    def test_another_fragment_is_not_reached(
        self, stamped: Fragment, unversioned: Fragment, artists: list[Artist], renders: list[str]
    ) -> None:
        get_fragments(stamped, artists)
        renders.clear()
        invalidate_all(unversioned)
        invalidate_many(unversioned, artists)

        get_fragments(stamped, artists)
        assert renders == []

    def test_another_cache_is_not_reached(
        self, stamped: Fragment, artists: list[Artist], renders: list[str]
    ) -> None:
        for alias in (None, "default"):
            get_fragments(stamped, artists, using=alias)
        renders.clear()
        invalidate_all(stamped, using="default")

        get_fragments(stamped, artists)
        assert renders == []
        get_fragments(stamped, artists, using="default")
        assert renders == ["Nina", "Ella"]

    def test_an_instance_that_was_never_rendered_can_be_invalidated(
        self, stamped: Fragment, artists: list[Artist]
    ) -> None:
        invalidate(stamped, artists[0])

        assert get_fragments(stamped, artists[:1]) == ["<u>Nina</u>"]


class TestCost:
    @pytest.mark.parametrize("number", [1, 50])
    def test_invalidate_all_writes_one_value_for_any_number_of_instances(
        self, cache_alias: str, stamped: Fragment, trips: RoundTrips, number: int
    ) -> None:
        rows = Artist.objects.bulk_create(Artist(name=str(n)) for n in range(number))
        get_fragments(stamped, rows)
        trips.clear()

        invalidate_all(stamped)

        assert trips.commands[:2] == ["get_many", "advance_many"]
        assert [len(trip.keys) for trip in trips] == [1, 1]

    def test_invalidate_many_takes_two_round_trips(
        self, cache_alias: str, stamped: Fragment, trips: RoundTrips
    ) -> None:
        rows = Artist.objects.bulk_create(Artist(name=str(n)) for n in range(50))
        get_fragments(stamped, rows)
        trips.clear()

        invalidate_many(stamped, rows)

        assert trips.commands == ["get_many", "advance_many"]
        assert [len(trip.keys) for trip in trips] == [50, 50]


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestMistakes:
    @pytest.mark.parametrize("change", [invalidate, lambda f, pk: invalidate_many(f, [pk])])
    def test_a_fragment_with_a_version_and_no_stamps_says_what_to_do(
        self, artist_card: Fragment, artists: list[Artist], change: Any
    ) -> None:
        with pytest.raises(
            ImproperlyDeclared,
            match=r"library\.artist_card is found by its version, so single instances cannot be "
            r"invalidated: move the mtime of the object \(save it\), declare stamped=True, or "
            r"call invalidate_all\(\)\.",
        ):
            change(artist_card, artists[0].pk)

    @pytest.mark.parametrize("change", [invalidate, invalidate_all])
    def test_an_unknown_name_comes_with_the_nearest(self, stamped: Fragment, change: Any) -> None:
        with pytest.raises(UnknownFragment, match=r"Did you mean 'library\.stamped'"):
            change("library.stampd")

    def test_an_empty_call_never_wipes_everything(
        self, stamped: Fragment, artists: list[Artist], renders: list[str]
    ) -> None:
        get_fragments(stamped, artists)
        renders.clear()

        with pytest.raises(InvalidArguments, match="misses 'artist'"):
            invalidate(stamped)

        get_fragments(stamped, artists)
        assert renders == []


class TestFailure:
    @pytest.fixture(params=["redis", "memcached"])
    def down(self, request: pytest.FixtureRequest, settings: Any) -> None:
        kind = settings.CACHES.get(request.param)
        if kind is None:
            pytest.skip(f"{request.param} is not in use")
        scheme = "redis://" if request.param == "redis" else ""
        location = f"{scheme}127.0.0.1:{free_port()}"
        settings.CACHES = {**settings.CACHES, "down": {**kind, "LOCATION": location}}
        settings.FRAGCACHE = {"CACHE_ALIAS": "down"}

    @pytest.mark.parametrize("change", [invalidate, lambda f, _artist: invalidate_all(f)])
    def test_is_tried_again_and_then_raised(
        self, down: None, stamped: Fragment, trips: RoundTrips, change: Any
    ) -> None:
        """Dropped, it would leave the old on every page until the next change."""
        with pytest.raises(CacheUnavailable, match=r"alias 'down': .*[Rr]efused"):
            change(stamped, 1)

        assert trips.commands == ["get_many"] * ATTEMPTS

    @any_cache
    def test_of_a_moment_is_overcome(
        self,
        cache_alias: str,
        stamped: Fragment,
        artists: list[Artist],
        renders: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        get_fragments(stamped, artists)
        renders.clear()
        backend = type(store().backend)
        advance_many = backend.advance_many
        failures = iter([OSError("reset"), OSError("reset")])

        def failing(*args: Any) -> Any:
            for failure in failures:
                raise failure
            return advance_many(*args)

        monkeypatch.setattr(backend, "advance_many", failing)
        invalidate(stamped, artists[0])

        get_fragments(stamped, artists)
        assert renders == ["Nina"]

    @pytest.mark.django_db(transaction=True)
    def test_after_the_commit_is_raised_where_the_transaction_ends(
        self, use_backend: Callable[..., str], stamped: Fragment
    ) -> None:
        use_backend(Full)
        block = transaction.atomic()
        block.__enter__()
        invalidate_all(stamped)

        with pytest.raises(CacheUnavailable, match="out of memory"):
            block.__exit__(None, None, None)

    def test_is_not_counted_as_a_pages(
        self, use_backend: Callable[..., str], stamped: Fragment
    ) -> None:
        use_backend(Full)
        with pytest.raises(CacheUnavailable):
            invalidate_all(stamped)

        assert happened(Event.CACHE_ERROR) == 0
