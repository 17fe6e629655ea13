"""``PagePrefetchMiddleware``: a page that was visited before waits for its cache once."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client
from django.urls import path

from fragcache import get_fragment, invalidate, invalidate_all, registry
from tests.fixtures import RoundTrips, any_cache, elsewhere, warm
from tests.fixtures import without_local_cache as remote
from tests.library.models import Artist
from tests.pages import AFTER_THE_LAG, configure, later, relayed, rename, servers, shared_caches

pytestmark = [pytest.mark.django_db, remote]
A_SECOND = dt.timedelta(seconds=1)
MIDDLEWARE = "fragcache.middleware.PagePrefetchMiddleware"


def shop(request: HttpRequest) -> HttpResponse:
    return render(request, "shop.html", {"artists": Artist.objects.order_by("pk")})


urlpatterns = [path("shop/", shop)]


@pytest.fixture
def site(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [MIDDLEWARE]


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


class TestAPageOfSixtyUnlikeFragments:
    """By version and by head, in includes, and in a fragment that can be stored nowhere."""

    @pytest.fixture
    def shop_page(self, declare: Any, templates: Any, artists: list[Artist], settings: Any) -> str:
        """The text of the page."""
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.pages.Visitor"]}

        def row(artist: Artist) -> dict[str, Any]:
            return {"text": artist.name}

        def word(number: int) -> dict[str, Any]:
            return {"text": number}

        for number in range(20):
            of_rows: Any = {"items": Artist.objects.all, "version": "updated_at"}
            declare("x.html", name=f"library.row{number}", **of_rows)(row)
            declare("x.html", name=f"library.head{number}")(word)
        declare("x.html", name="library.word", version=lambda number: 1)(word)
        declare("x.html", name="library.mine", version=lambda number: 1, vary_on=["visitor"])(word)
        declare("open.html", name="library.open", version=lambda: 1)(lambda: {"numbers": "01234"})
        each = "{% for number in numbers %}{% fragment NAME number %}{% endfor %}"
        templates(
            {
                "x.html": "{{ text }} ",
                "shop.html": "{% load fragcache %}"
                + "".join(f"{{% fragment 'library.row{n}' artists.0 %}}" for n in range(20))
                + "|"
                + "".join(f"{{% fragment 'library.word' {n} %}}" for n in range(10))
                + "|"
                + "".join(f"{{% fragment 'library.head{n}' {n} %}}" for n in range(20))
                + "|{% include 'one_deep.html' with artist=artists.1 %}"
                + "|{% fragment 'library.open' %}",
                "one_deep.html": "{% include 'two_deep.html' %}",
                "two_deep.html": "{% load fragcache %}"
                + "".join(f"{{% fragment 'library.row{n}' artist %}}" for n in range(5)),
                "open.html": "{% include 'numbers.html' %}",
                "numbers.html": "{% load fragcache %}" + each.replace("NAME", "'library.mine'"),
            }
        )
        numbers = [" ".join(map(str, range(n))) + " " for n in (10, 20, 5)]
        texts = ["Nina " * 20, numbers[0], numbers[1], "Ella " * 5, numbers[2]]
        return "|".join(texts)

    @servers
    def test_waits_once_when_it_is_learned_and_for_each_without(
        self, cache_alias: str, site: None, shop_page: str, settings: Any
    ) -> None:
        assert text_of(Client(), "/shop/") == shop_page  # in another process, which stores it
        counts = []
        with relayed(cache_alias) as relay:
            caches["relayed"].get_many(["any"])  # connects
            for middleware, visits in (([], 1), ([MIDDLEWARE], 3)):
                settings.MIDDLEWARE = middleware
                client = Client()
                for _visit in range(visits):
                    with relay.counting() as trips:
                        assert text_of(client, "/shop/") == shop_page
                    counts.append(trips.count)

        by_version = 30 + 5 + 5 + 1
        without = by_version + 2 * 20
        assert counts == [without, without, 1, 1]

    @shared_caches
    def test_is_learned_by_the_visit_that_renders_it_but_for_what_only_heads_will_name(
        self, cache_alias: str, site: None, shop_page: str, trips: RoundTrips
    ) -> None:
        client = Client()
        text_of(client, "/shop/")
        for reads in (2, 1, 1):
            trips.clear()
            assert text_of(client, "/shop/") == shop_page
            assert trips.commands == ["get_many"] * reads

    @shared_caches
    def test_asks_for_its_heads_alone_where_the_process_holds_the_entries(
        self, cache_alias: str, site: None, shop_page: str, trips: RoundTrips
    ) -> None:
        client = Client()
        with configure(LOCAL_MAX_BYTES=2**20):
            for _visit in range(2):
                text_of(client, "/shop/")
            trips.clear()

            assert text_of(client, "/shop/") == shop_page
        (trip,) = trips
        assert len([key for key in trip.keys if "@" in key]) == 20
        (not_to_be_held,) = (key for key in trip.keys if "@" not in key and "#" not in key)
        assert not_to_be_held.startswith("fc1:library.open:")


@any_cache
@pytest.mark.usefixtures("cache_alias", "site")
class TestChanges:
    """What was learned is a guess; what is shown is what is true."""

    @pytest.fixture
    def visit(self, declare: Any, templates: Any, artists: list[Artist]) -> Any:
        """A function that visits the learned page of two cards and a headed list."""
        source = (
            "{% load fragcache %}{% for artist in artists %}{% fragment 'library.card' artist %} "
            "{% fragment 'library.headed' artist.pk %}|{% endfor %}"
        )
        templates({"x.html": "{{ artist.name }}", "shop.html": source})
        for name, version in (("card", "updated_at"), ("headed", None)):

            @declare("x.html", name=f"library.{name}", items=Artist.objects.all, version=version)
            def context(artist: Artist) -> dict[str, Any]:
                return {"artist": artist}

        client = Client()
        for _visit in range(3):
            assert text_of(client, "/shop/") == "Nina Nina|Ella Ella|"
        return lambda: text_of(client, "/shop/")

    def change(self, ella: Artist) -> None:
        Artist.objects.filter(pk=ella.pk).update(
            name="Ella Fitzgerald", updated_at=ella.updated_at + A_SECOND
        )

    def test_a_row_that_another_process_rendered_anew_costs_one_more_once(
        self, visit: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        self.change(artists[1])
        get_fragment("library.card", artists[1].pk)
        for commands in (["get_many"] * 2, ["get_many"]):
            trips.clear()
            assert visit() == "Nina Nina|Ella Fitzgerald Ella|"
            assert trips.commands == commands

    def test_a_row_that_this_page_renders_anew_costs_its_write_as_well(
        self, visit: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        self.change(artists[1])
        expected = [["get_many", "get_many", "store_many", "advance_many"], ["get_many"]]
        for commands in expected:
            trips.clear()
            assert visit() == "Nina Nina|Ella Fitzgerald Ella|"
            assert trips.commands == commands

    def test_a_head_that_moved_on_shows_its_new_entry(
        self, visit: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        rename(artists[0], "Nina Simone")
        warm(registry.get("library.headed"))
        for commands in (["get_many"] * 2, ["get_many"]):
            trips.clear()
            assert visit() == "Nina Nina Simone|Ella Ella|"
            assert trips.commands == commands

    @pytest.mark.parametrize("where", [nullcontext, elsewhere], ids=["here", "elsewhere"])
    def test_what_was_invalidated_is_rendered(
        self, visit: Any, artists: list[Artist], where: Any
    ) -> None:
        rename(artists[0], "Nina Simone")
        with where():
            invalidate_all("library.card")
            invalidate("library.headed", artists[0])
        with later(AFTER_THE_LAG):
            for _visit in range(3):
                assert visit() == "Nina Simone Nina Simone|Ella Ella|"

    def test_what_is_gone_is_gone(self, visit: Any, artists: list[Artist]) -> None:
        artists[0].delete()
        assert visit() == "Ella Ella|"

    def test_what_the_cache_lost_is_rendered(
        self, visit: Any, artists: list[Artist], cache_alias: str
    ) -> None:
        rename(artists[0], "Nina Simone")
        caches[cache_alias].clear()
        assert visit() == "Nina Simone Nina Simone|Ella Ella|"

    def test_a_page_that_shows_less_forgets_what_it_showed(
        self, visit: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        artists[0].delete()
        visit()
        trips.clear()
        visit()
        asked = [key for key in trips[0].keys if "#" not in key]
        assert len(asked) == 3  # of one row a card, a head and what it names
