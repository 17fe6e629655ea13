"""``PagePrefetchMiddleware``: whose page it is, who is guessed to see the same, what is kept."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from django.utils import translation

from fragcache import Fragment, aget_fragment, get_fragment
from fragcache.events import Event
from fragcache.middleware import PagePrefetchMiddleware
from tests.fixtures import RoundTrips, any_cache, happened
from tests.fixtures import without_local_cache as remote
from tests.pages import Visitor, relayed, servers, shared_caches
from tests.processes import free_port

pytestmark = remote


def mine(request: HttpRequest) -> HttpResponse:
    """The page of one visitor: three fragments of their own, and what they ask for."""
    visitor = Visitor().current(request)
    words = request.GET.getlist("q") or ["a", "b"]
    return render(request, "mine.html", {"visitor": visitor, "words": words})


async def mine_later(request: HttpRequest) -> HttpResponse:
    visitor = Visitor().current(request)
    first = await aget_fragment("library.greeting", visitor)
    rest = await sync_to_async(mine)(request)
    return HttpResponse(first + "|" + rest.content.decode())


def translated(request: HttpRequest) -> HttpResponse:
    with translation.override(request.headers.get("Accept-Language", "en")):
        return HttpResponse(get_fragment("library.price"))


urlpatterns = [
    path("mine/", mine),
    path("later/", mine_later),
    path("translated/", translated),
]
NAMES = [f"visitor{number}" for number in range(8)]


def text_for(visitor: str, *words: str) -> str:
    return f"Hello {visitor}|" + "".join(f"{visitor}:{word} " for word in words or ("a", "b"))


@pytest.fixture(autouse=True)
def site(settings: Any, request: pytest.FixtureRequest) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["fragcache.middleware.PagePrefetchMiddleware"]


@pytest.fixture
def personal(
    cache_alias: str, declare: Any, templates: Any, greeting: Fragment, settings: Any
) -> None:
    """Fragments of a visitor: one by its argument and head, one by the axis and a version."""
    settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.pages.Visitor"]}
    templates(
        {
            "x.html": "{{ visitor }}:{{ word }} ",
            "mine.html": "{% load fragcache %}{% fragment 'library.greeting' visitor %}|"
            "{% for word in words %}{% fragment 'library.mine' word %}{% endfor %}",
        }
    )

    @declare("x.html", name="library.mine", version=lambda word: 1, vary_on=["visitor"])
    def x(word: str) -> dict[str, Any]:
        return {"word": word, "visitor": Visitor.active.get()}


def visit(client: Client, visitor: str, url: str = "/mine/") -> str:
    client.cookies["sessionid"] = visitor
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def requested(visitor: str, url: str = "/mine/", **headers: str) -> HttpRequest:
    return RequestFactory().get(url, headers={"cookie": f"sessionid={visitor}", **headers})


@pytest.mark.usefixtures("personal")
class TestVisitors:
    @servers
    def test_that_alternate_get_their_own_and_wait_once(self, cache_alias: str) -> None:
        client = Client()
        for _visit in range(2):
            for visitor in NAMES[:2]:
                visit(client, visitor)
        with relayed(cache_alias) as relay:
            client = Client()
            counts = []
            for _visit in range(3):
                for visitor in NAMES[:2]:
                    with relay.counting() as trips:
                        assert visit(client, visitor) == text_for(visitor)
                    counts.append(trips.count)
        assert counts[-4:] == [1, 1, 1, 1]

    @any_cache
    def test_that_come_first_are_guessed_to_see_what_others_saw(
        self, cache_alias: str, trips: RoundTrips
    ) -> None:
        """Of a page that is the same for all, the first visit of each costs one round trip."""

        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(get_fragment("library.greeting", "all"))

        middleware = PagePrefetchMiddleware(view)
        for _visit in range(2):
            middleware(requested(NAMES[0]))
        trips.clear()
        assert middleware(requested(NAMES[1])).content == b"Hello all"
        assert trips.commands == ["get_many"]

    @any_cache
    def test_that_were_guessed_wrongly_wait_no_longer_than_without_a_guess(
        self, cache_alias: str, settings: Any, trips: RoundTrips
    ) -> None:
        counts = []
        text = text_for(NAMES[1], *"cdef")
        for middleware in ([], settings.MIDDLEWARE):
            settings.MIDDLEWARE = middleware
            visit(Client(), NAMES[1], "/mine/?q=c&q=d&q=e&q=f")  # stores it
            client = Client()
            for _visit in range(2):
                visit(client, NAMES[0])
            trips.clear()
            assert visit(client, NAMES[1], "/mine/?q=c&q=d&q=e&q=f") == text
            assert trips.writes == []
            counts.append(len(trips))
        assert counts[1] <= counts[0] == 2 + 4

    @servers
    def test_at_the_same_time_in_threads_never_get_what_is_anothers(self, cache_alias: str) -> None:
        middleware = PagePrefetchMiddleware(mine)

        def work(thread: int) -> list[tuple[str, str]]:
            shown = []
            for number in range(25):
                visitor, word = NAMES[(thread + number) % len(NAMES)], "abc"[number % 3]
                request = requested(visitor, f"/mine/?q={word}")
                shown.append((middleware(request).content.decode(), text_for(visitor, word)))
            return shown

        with ThreadPoolExecutor(8) as threads:
            for shown in threads.map(work, range(8)):
                assert [text for text, _expected in shown] == [text for _, text in shown]

    @shared_caches
    def test_at_the_same_time_in_one_event_loop_never_get_what_is_anothers(
        self, cache_alias: str
    ) -> None:
        client = AsyncClient()

        async def page_of(visitor: str) -> str:
            client = AsyncClient()
            client.handler = handler
            client.cookies["sessionid"] = visitor
            return (await client.get("/later/")).content.decode()

        async def all_at_once() -> list[str]:
            return await asyncio.gather(*map(page_of, NAMES * 3))

        handler = client.handler
        for _round in range(2):
            assert async_to_sync(all_at_once)() == [
                f"Hello {visitor}|{text_for(visitor)}" for visitor in NAMES * 3
            ]

    @any_cache
    def test_of_another_language_or_host_get_theirs(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"price.html": "{% load l10n %}{{ price }}"})
        declare("price.html", name="library.price", version=lambda: 1)(lambda: {"price": 1.5})
        client = Client()
        for _visit in range(3):
            for language, text in (("de", b"1,5"), ("en", b"1.5")):
                headers = {"accept-language": language}
                assert client.get("/translated/", headers=headers).content == text


@pytest.mark.usefixtures("personal")
class TestAsync:
    @shared_caches
    def test_a_page_of_an_asynchronous_view_is_learned(
        self, cache_alias: str, trips: RoundTrips
    ) -> None:
        client = AsyncClient()
        client.cookies["sessionid"] = "nina"
        for _visit in range(3):
            trips.clear()
            response = async_to_sync(client.get)("/later/")
            assert response.content.decode() == f"Hello nina|{text_for('nina')}"
        assert trips.commands == ["get_many"]

    @any_cache
    def test_a_page_of_a_synchronous_view_is_learned(
        self, cache_alias: str, trips: RoundTrips
    ) -> None:
        client = AsyncClient()
        for _visit in range(3):
            trips.clear()
            response = async_to_sync(client.get)("/mine/")
            assert response.content.decode() == text_for("nobody")
        assert trips.commands == ["get_many"]


@pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
def test_a_page_without_its_cache_is_rendered(
    cache_alias: str, personal: None, settings: Any
) -> None:
    address = f"127.0.0.1:{free_port()}"
    location = f"redis://{address}/0" if cache_alias == "redis" else address
    down = {**settings.CACHES[cache_alias], "LOCATION": location}
    client = Client()
    visit(client, "nina")
    settings.CACHES = {**settings.CACHES, cache_alias: down}
    for _visit in range(2):
        assert visit(client, "nina") == text_for("nina")
    assert happened(Event.CACHE_ERROR) >= 2
    for _visit in range(2):
        assert visit(Client(), "nina") == text_for("nina")
