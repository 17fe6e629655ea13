"""``PagePrefetchMiddleware``: which pages it learns, how many, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory
from django.urls import path

from fragcache import Fragment, get_fragment
from fragcache.middleware import PagePrefetchMiddleware
from tests.fixtures import RoundTrips, any_cache, in_request
from tests.fixtures import without_local_cache as remote
from tests.library.models import Artist

pytestmark = [remote, any_cache, pytest.mark.usefixtures("cache_alias", "greeting")]


def greet(request: HttpRequest) -> HttpResponse:
    """A page of two fragments, which cost two round trips each unless they are prefetched."""
    names = request.GET.getlist("name") or ["a", "b"]
    return HttpResponse("|".join(get_fragment("library.greeting", name) for name in names))


def failing(request: HttpRequest) -> HttpResponse:
    get_fragment("library.greeting", "you")
    raise LookupError("the view's own")


def late(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "late.html", {"names": ["a", "b"]})


urlpatterns = [path("failing/", failing), path("late/", late)]


class Small(PagePrefetchMiddleware):
    max_keys = 200


@pytest.fixture(autouse=True)
def site(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["fragcache.middleware.PagePrefetchMiddleware"]


def get(url: str, **headers: str) -> HttpRequest:
    return RequestFactory().get(url, headers=headers)


@pytest.mark.parametrize(
    ("method", "learns"),
    [("get", True), ("head", True), ("post", False), ("put", False), ("delete", False)],
)
def test_pages_that_are_read_are_learned(method: str, learns: bool, trips: RoundTrips) -> None:
    middleware = PagePrefetchMiddleware(greet)
    for _visit in range(3):
        trips.clear()
        middleware(getattr(RequestFactory(), method)("/"))
    assert (middleware._pages.size > 0) is learns
    assert (len(trips) == 1) is learns


def test_what_is_sent_to_a_learned_page_fetches_nothing_but_its_own(trips: RoundTrips) -> None:
    middleware = PagePrefetchMiddleware(greet)
    for _visit in range(2):
        middleware(get("/"))
    trips.clear()
    middleware(RequestFactory().post("/?name=c"))
    asked = {key for trip in trips for key in trip.keys if "#" not in key}
    assert len(asked) == 2  # a head, an entry
    assert middleware(get("/")).content == b"Hello a|Hello b"


def test_a_page_with_another_query_is_guessed_until_it_is_learned(trips: RoundTrips) -> None:
    middleware = PagePrefetchMiddleware(greet)
    for url in ("/?name=a&name=b", "/?name=b&name=c"):
        for _visit in range(3):
            trips.clear()
            response = middleware(get(url))
        assert trips.commands == ["get_many"]
    assert response.content == b"Hello b|Hello c"
    trips.clear()
    middleware(get("/?name=a&name=b"))
    assert trips.commands == ["get_many"]
    middleware(get("/another/?name=a&name=b"))
    assert len(trips) == 1 + 4


@pytest.mark.parametrize("kind", ["host", "cookie", "accept-language"])
def test_a_page_of_another_kind_is_learned_for_itself(kind: str, trips: RoundTrips) -> None:
    """Its fragments differ; of all kinds, what was learned stays."""

    def view(request: HttpRequest) -> HttpResponse:
        name = request.headers.get(kind, "").removeprefix("sessionid=")
        return HttpResponse(
            get_fragment("library.greeting", name) + get_fragment("library.greeting", name * 2)
        )

    middleware = PagePrefetchMiddleware(view)
    given = {"a": "sessionid=a", "b": "sessionid=b"} if kind == "cookie" else {"a": "a", "b": "b"}
    for _visit in range(3):
        for name, value in given.items():
            trips.clear()
            response = middleware(get("/", **{kind: value}))
            assert response.content.decode() == f"Hello {name}Hello {name * 2}"
    assert trips.commands == ["get_many"]


def test_what_is_learned_of_thousands_of_pages_takes_no_more_than_its_bound() -> None:
    middleware = Small(greet)
    sizes = set()
    for number in range(1500):
        middleware(get(f"/{number}?name={number % 3}"))
        sizes.add(middleware._pages.size)
    assert 100 < max(sizes) <= 200


def test_a_page_that_is_visited_survives_a_crawler(trips: RoundTrips) -> None:
    middleware = Small(greet)
    reads = []
    for number in range(300):
        middleware(get(f"/{number}?name={number % 3}"))
        if number % 4 == 0:
            trips.clear()
            middleware(get("/hot/"))
            reads.append(len(trips))
    assert set(reads[2:]) == {1}


def test_a_page_without_fragments_is_as_it_was(trips: RoundTrips) -> None:
    middleware = PagePrefetchMiddleware(lambda request: HttpResponse("nothing"))
    for _visit in range(2):
        assert middleware(get("/")).content == b"nothing"
    assert middleware._pages.size == 0
    assert trips == []


def test_a_page_that_shows_nothing_of_what_it_showed_waits_for_nothing(trips: RoundTrips) -> None:
    """What is learned is fetched with the first fragment, and never for its own sake."""
    middleware = PagePrefetchMiddleware(
        lambda request: HttpResponse("") if "empty" in request.GET else greet(request)
    )
    for url in ("/", "/", "/?empty"):
        trips.clear()
        middleware(get(url))
    assert trips == []


def test_errors_are_the_sites_own() -> None:
    client = Client()
    for _visit in range(2):
        with pytest.raises(LookupError, match="the view's own"):
            client.get("/failing/")
    assert Client(raise_request_exception=False).get("/failing/").status_code == 500


def test_a_response_that_is_rendered_after_its_view_is_learned(
    templates: Any, trips: RoundTrips
) -> None:
    each = "{% for name in names %}{% fragment 'library.greeting' name %}{% endfor %}"
    templates({"late.html": "{% load fragcache %}" + each})
    client = Client()
    for _visit in range(3):
        trips.clear()
        assert client.get("/late/").content == b"Hello aHello b"
    assert trips.commands == ["get_many"]


def test_a_response_that_streams_is_right(trips: RoundTrips) -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(get_fragment("library.greeting", name) for name in "ab")

    middleware = PagePrefetchMiddleware(view)
    for _visit in range(3):
        response: Any = middleware(get("/"))
        assert b"".join(response) == b"Hello aHello b"


def test_what_a_subclass_tells_apart_is_learned_apart(trips: RoundTrips) -> None:
    class ByName(PagePrefetchMiddleware):
        def identify(self, request: HttpRequest) -> Any:
            return request.GET["name"]

    middleware = ByName(greet)
    for url in ("/1?name=a", "/2?name=b", "/3?name=a", "/4?name=b"):
        trips.clear()
        middleware(get(url))
    trips.clear()
    middleware(get("/5?name=a"))
    assert trips.commands == ["get_many"]


@pytest.mark.django_db
def test_heads_that_a_page_left_for_later_are_written_where_no_signal_ends_it(
    artist_card: Fragment, artists: list[Artist], trips: RoundTrips
) -> None:
    """Under ASGI, Django's signals are sent in another context."""
    middleware = PagePrefetchMiddleware(
        lambda request: HttpResponse(get_fragment(artist_card, artists[0]))
    )
    middleware(get("/"))
    assert trips.commands[-2:] == ["store_many", "advance_many"]


def test_a_page_is_learned_though_something_in_front_read_a_fragment(trips: RoundTrips) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("".join(get_fragment("library.greeting", name) for name in "abcd"))

    middleware = PagePrefetchMiddleware(view)
    for _visit in range(3):
        trips.clear()
        with in_request():
            get_fragment("library.greeting", "early")
            middleware(get("/"))
    assert trips.commands == ["get_many"] * 3  # by head, early; and then all at once
