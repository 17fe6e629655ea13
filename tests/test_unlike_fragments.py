"""A page of many unlike fragments, each shown by a tag of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import RoundTrips, any_cache, in_request
from tests.library.models import Artist
from tests.pages import configure, page, shared_caches, shown

pytestmark = pytest.mark.django_db
HUNDRED = range(100)


@pytest.fixture
def unlike(declare: Any, templates: Any, artists: list[Artist]) -> str:
    """The source of a page of a hundred fragments, each of a template and a name of its own."""
    for number in HUNDRED:
        templates({f"{number}.html": f"{number}{{{{ artist.name|slice:1 }}}} "})

        @declare(
            f"{number}.html",
            name=f"library.unlike{number}",
            items=Artist.objects.all,
            version="updated_at",
        )
        def context(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

    return "".join(
        f"{{% fragment 'library.unlike{number}' artists.{number % 2} %}}" for number in HUNDRED
    )


@shared_caches
def test_a_hundred_cost_neither_round_trip_nor_query_where_they_are_held(
    cache_alias: str,
    unlike: str,
    artists: list[Artist],
    trips: RoundTrips,
    django_assert_num_queries: Any,
) -> None:
    text = "".join(f"{number}{'NE'[number % 2]} " for number in HUNDRED)
    with in_request():
        assert page(unlike, artists=artists) == text
    trips.clear()

    with in_request(), django_assert_num_queries(0):
        assert page(unlike, artists=artists) == text
    assert trips == []


@any_cache
def test_a_hundred_cost_one_round_trip_each_where_nothing_is_held(
    cache_alias: str, unlike: str, artists: list[Artist], trips: RoundTrips
) -> None:
    with configure(LOCAL_MAX_BYTES=0):
        page(unlike, artists=artists)
        trips.clear()
        with in_request():
            page(unlike, artists=artists)
    assert trips.commands == ["get_many"] * 100


@any_cache
@pytest.mark.parametrize("max_bytes", [2**20, 0], ids=["local", "remote"])
def test_primary_keys_of_a_list_cost_one_query(
    cache_alias: str,
    artist_card: Any,
    artists: list[Artist],
    django_assert_num_queries: Any,
    max_bytes: int,
) -> None:
    pks = [artist.pk for artist in artists]
    with configure(LOCAL_MAX_BYTES=max_bytes):
        shown(artist_card, pks)
        for items in (pks, [*artists, *pks], [str(pk) for pk in pks] * 3):
            with django_assert_num_queries(1):
                html = shown(artist_card, items)
            assert html == ["<b>Nina</b>", "<b>Ella</b>"] * (len(items) // 2)
