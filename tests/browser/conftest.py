"""A browser, and the admin of a site whose answers carry the strictest policy."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from pytest_django.live_server_helper import LiveServer

from fragcache import Fragment, conf, counters, get_fragment, registry
from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.histograms import bucket_of
from fragcache.models import Counts
from fragcache.stats import keeping
from tests.admin_site import MIDDLEWARE, client_of, site_with_admin
from tests.browser import chromium

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

BUSY: dict[str, int] = {
    Event.HIT: 12_345_678,
    Miss.NEW_VERSION: 1_234_567,
    Measure.LOOKUP_NS: 13_000_000 * 700_000,
    Event.RENDERED: 1_234_567,
    Measure.RENDER_US: 1_234_567 * 123_000,
    RENDER_BUCKET + str(bucket_of(123_000)): 1_000_000,
    RENDER_BUCKET + str(bucket_of(777_000)): 234_567,
    AGE_BUCKET + str(bucket_of(119_000_000)): 60,
    AGE_BUCKET + str(bucket_of(86_000_000_000)): 5,
    Measure.ERRORS: 12_345,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.skipif(not is_there(), reason=chromium.MISSING))


def is_there() -> bool:
    return importlib.util.find_spec("playwright") is not None and chromium.program() is not None


class StrictPolicy:
    """Middleware that forbids inline scripts and styles, and whatever is not of the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)  # a preview has its own
        return response


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, for the tests of a module; by this name pytest-django knows to make one."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def site(db: None) -> Iterator[tuple[str, str]]:
    """The address of the admin of a site that has had visitors, and a superuser's session."""
    middleware = [*MIDDLEWARE, f"{StrictPolicy.__module__}.StrictPolicy"]
    with site_with_admin(MIDDLEWARE=middleware):
        user = User.objects.create_superuser("root")
        session = client_of(user).cookies[settings.SESSION_COOKIE_NAME].value
        Counts.objects.all().delete()
        have_visitors()
        server = LiveServer("localhost")
        yield server.url, session
        server.stop()
        Counts.objects.all().delete()
        user.delete()
        registry.remove(Greeting.name)


@pytest.fixture(scope="module")
def browser(site: tuple[str, str]) -> Iterator[Any]:
    # After all that asks the database in this thread: the event loop that playwright keeps in it
    # has connections of its own.
    with chromium.browser() as found:
        yield found


class Greeting(Fragment):
    name = "library.greeting"
    template_name = "browser/greeting.html"

    def get_context(self, name: str) -> dict[str, Any]:
        return {"name": name}


def have_visitors() -> None:
    """Count half an hour of real lookups: all that is made up is when they were."""
    caches[conf.settings().cache_alias].clear()
    greeting = registry.add(Greeting())
    now = int(time.time())
    for minute in range(30):
        for visitor in range(minute % 7 + 1):
            get_fragment(greeting, str(visitor))
        keeping.time = SimpleNamespace(time=lambda at=now - 1800 + 60 * minute: at)
        assert keeping.keeper.flush()
    keeping.time = time
    # One that needs all the room there is.
    counters.count_many("magazine.recommendations_of_the_week", "language=s2:en", BUSY)
    assert keeping.keeper.flush()


class Tab:
    """A page of the browser, and what its console has complained of."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def look(self, *, width: int = 1280, colours: str = "light") -> None:
        """Be so wide, and of somebody who likes such colours."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=colours)

    def visit(self, path: str) -> None:
        answer = self.page.goto(f"{self.address}{path}")
        assert answer.status == 200
        assert answer.headers["content-security-policy"] == POLICY

    @property
    def overflow(self) -> int:
        """Pixels that the page is wider than its window."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(width))


@pytest.fixture(scope="module")
def open_page(site: tuple[str, str], browser: Any) -> Any:
    """A page of somebody who has logged in; one for all tests, since a browser keeps files."""
    address, session = site
    context = browser.new_context()
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}
    context.add_cookies([cookie])
    context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    return context.new_page()


@pytest.fixture
def tab(site: tuple[str, str], open_page: Any) -> Tab:
    open_page.goto("about:blank")
    tab = Tab(open_page, site[0])
    tab.look()
    return tab
