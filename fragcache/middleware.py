"""``PagePrefetchMiddleware``: a page that was visited before costs one round trip, or none.

``ServerTimingMiddleware`` tells browsers what the fragments of a page have cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings

from fragcache import page
from fragcache.bounded import Bounded
from fragcache.page import Page
from fragcache.reading.learning import Learned, learned_of, wish_for
from fragcache.tracing import Totals, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class PagePrefetchMiddleware:
    """Remembers which fragments a page showed, and fetches all of them with the first.

    Put it after the middleware that answers without a view, as a redirect or a page cache does. It
    may stand before those of sessions, languages and users: it reads nothing that they add.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    #: How many keys of fragments are remembered in a process, of all pages; each takes some 300
    #: bytes.
    max_keys: ClassVar[int] = 50_000

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._pages: Bounded[Mapping[str, Learned]] = Bounded(self.max_keys, size_of=_size)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answered_later(request)
        with self._learning(request):
            return cast("HttpResponseBase", self.get_response(request))

    def identify(self, request: HttpRequest) -> Hashable:
        """Return what tells pages apart that show different fragments; override it for your own.

        Visitors are told apart by the cookie of their session, of which a hash is kept.
        """
        language = request.headers.get("Accept-Language")
        chosen_language = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
        session = hash(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        query = request.META.get("QUERY_STRING")
        return *_place(request), query, language, chosen_language, session

    async def _answered_later(self, request: HttpRequest) -> HttpResponseBase:
        with self._learning(request):
            return cast("HttpResponseBase", await self.get_response(request))

    @contextmanager
    def _learning(self, request: HttpRequest) -> Iterator[None]:
        if request.method not in {"GET", "HEAD"}:
            yield
            return
        with _page_of_request() as current:
            current.learn()
            # A visitor's first visit is guessed from the last one of anybody.
            identity, place = self.identify(request), _place(request)
            known = self._pages.get_many([identity, place])
            wish_for(known[0] or known[1] or {}, current)
            yield
            if learned := learned_of(current):
                self._pages.keep({place: learned, identity: learned})


class ServerTimingMiddleware:
    """Tells in the header ``Server-Timing`` what the fragments of a page have cost.

    Put it before all that shows fragments. Whoever reads the header sees whether a page was in the
    cache, and with it what others have visited: therefore it is sent in DEBUG alone, unless a
    subclass says otherwise.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answered_later(request)
        if not self.is_shown_to(request):
            return cast("HttpResponseBase", self.get_response(request))
        with record() as trace:
            response = cast("HttpResponseBase", self.get_response(request))
        return _timed(response, trace.totals())

    def is_shown_to(self, request: HttpRequest) -> bool:
        """Return whether this visitor may see timings; override it, as for staff alone."""
        return settings.DEBUG

    async def _answered_later(self, request: HttpRequest) -> HttpResponseBase:
        # A subclass may ask the database who that is.
        if not await sync_to_async(self.is_shown_to)(request):
            return cast("HttpResponseBase", await self.get_response(request))
        with record() as trace:
            response = cast("HttpResponseBase", await self.get_response(request))
        return _timed(response, trace.totals())


def _timed(response: HttpResponseBase, totals: Totals) -> HttpResponseBase:
    """Return the response with the header; times of it are in milliseconds."""
    counts = ", ".join(
        f"{number} {name if number == 1 else names}"
        for number, name, names in (
            (totals.hits, "hit", "hits"),
            (totals.renders, "render", "renders"),
            (totals.round_trips, "round trip", "round trips"),
        )
    )
    own = ", ".join(
        [
            f'fragcache;dur={totals.duration / 1e6:.2f};desc="{counts}"',
            f'fragcache_cache;dur={totals.waited / 1e6:.2f};desc="waiting for caches"',
            f'fragcache_render;dur={totals.rendering / 1e6:.2f};desc="rendering fragments"',
        ]
    )
    others = response.headers.get("Server-Timing")
    response.headers["Server-Timing"] = f"{others}, {own}" if others else own
    return response


@contextmanager
def _page_of_request() -> Iterator[Page]:
    current = page.active()
    if current is not None and current.is_request:
        yield current
        return
    # Under ASGI, Django's signal is sent in a context of its own.
    with page.entered(page.of_request()) as current:
        yield current
    current.finish()


def _place(request: HttpRequest) -> tuple[Hashable, ...]:
    return request.META.get("HTTP_HOST"), request.path


def _size(learned: Mapping[str, Learned]) -> int:
    return 1 + sum(of_alias.size for of_alias in learned.values())
