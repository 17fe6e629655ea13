"""Promise X7: each degradation is a counter, a signal each time, and one log line per cause."""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.template import engines
from django.test import RequestFactory
from django.utils import timezone

from fragcache import Fragment, counters, get_fragment
from fragcache.events import Event
from fragcache.reading import doorkeeper
from fragcache.signals import degraded
from fragcache.stats.keeping import keeper
from tests.fixtures import RoundTrips, any_cache, happened, in_request, warm, without_local_cache
from tests.library.models import Artist
from tests.lines import ROOT
from tests.odd_caches import RefusesLargeValues

pytestmark = [
    any_cache,
    pytest.mark.django_db,
    without_local_cache,
    pytest.mark.usefixtures("cache_alias", "in_production"),
]
LOAD = "{% load fragcache %}"
#: What has servers, threads or a second site of its own to come about.
ELSEWHERE = {
    Event.SOURCE_ERROR: "tests/test_asking.py",
    Event.RENEWAL_FAILED: "tests/test_stale.py",
}


class Site:
    """A site on which something can be made to go wrong."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self.settings: Any = self.fixture("settings")
        self.templates: Any = self.fixture("templates")
        self.trips: RoundTrips = self.fixture("trips")

    def fixture(self, name: str) -> Any:
        return self._request.getfixturevalue(name)

    def change(self, **settings: Any) -> None:
        self.settings.FRAGCACHE = {**self.settings.FRAGCACHE, **settings}

    def declare(
        self, source: str, make_context: Callable[..., dict[str, Any]] = dict, **options: Any
    ) -> Fragment:
        def context() -> dict[str, Any]:
            return make_context()

        self.templates({"x.html": source})
        declared = self.fixture("declare")("x.html", name="library.x", **options)
        made: Fragment = declared(make_context if options else context)
        return made

    def page(self, source: str) -> str:
        request = RequestFactory().get("/here")
        return str(engines["django"].from_string(LOAD + source).render({}, request))

    def stored_keys(self) -> list[str]:
        return [key for trip in self.trips.of("store_many") for key in trip.keys]


Way = Callable[[Site], Callable[[], object]]


def cache_error(site: Site) -> Callable[[], object]:
    gone = {
        "BACKEND": "fragcache.backends.embedded.EmbeddedCache",
        "LOCATION": "/proc/no/such/directory",
    }
    site.settings.CACHES = {**site.settings.CACHES, "gone": gone}
    site.change(CACHE_ALIAS="gone")
    fragment = site.declare("x")
    return lambda: get_fragment(fragment)


def over_budget(site: Site) -> Callable[[], object]:
    site.change(PAGE_BUDGET=0)
    fragment = site.declare("x")
    return lambda: get_fragment(fragment)


def refused(site: Site) -> Callable[[], object]:
    site.fixture("use_backend")(RefusesLargeValues)
    fragment = site.declare("x" * 2_000)
    return lambda: get_fragment(fragment)


def not_stored(site: Site) -> Callable[[], object]:
    fragment = site.declare("{{ half }}", lambda: {"half": "\ud800"})
    return lambda: get_fragment(fragment)


def unbelieved(site: Site) -> Callable[[], object]:
    fragment = site.declare("x")

    def show() -> None:
        get_fragment(fragment)
        for key in site.stored_keys():
            caches["embedded"].set(key, b"altered by somebody")

    show()
    return show


def unknown_key(site: Site) -> Callable[[], object]:
    fragment = site.declare("x")
    keys = iter(["first", "second", "third"])

    def show() -> None:
        site.change(SECRET_KEYS=[next(keys)])
        get_fragment(fragment)

    show()
    return show


def undefined_argument(site: Site) -> Callable[[], object]:
    site.fixture("greeting")
    return lambda: site.page("{% fragment 'library.greeting' nobody %}")


def leak(site: Site) -> Callable[[], object]:
    return lambda: site.page("{% cache 60 here %}{{ request.path }}{% endcache %}")


def absent(site: Site) -> Callable[[], object]:
    site.change(READ_ONLY=True)
    return lambda: site.page("{% fragment 'library.elsewhere' 1 %}")


def stale_served(site: Site) -> Callable[[], object]:
    artist = Artist.objects.create(updated_at=timezone.now())
    outcomes = [1]
    fragment = site.declare(
        "{{ x }}",
        lambda artist: {"x": outcomes.pop()},  # which raises from then on
        items=Artist.objects.all,
        version="updated_at",
        stale_if_error=600,
    )
    warm(fragment)

    def show() -> None:
        artist.updated_at += dt.timedelta(seconds=1)
        artist.save()
        get_fragment(fragment, artist)

    return show


def turned_away(site: Site) -> Callable[[], object]:
    site.fixture("monkeypatch").setattr(doorkeeper, "FREE", 0)
    names = iter("abc")
    greeting = site.fixture("greeting")
    return lambda: get_fragment(greeting, next(names))


def unrecorded(site: Site) -> Callable[[], object]:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE fragcache_counts RENAME TO elsewhere")

    def flush() -> None:
        counters.count(Event.HIT, "library.x")
        keeper.flush()

    return flush


WAYS: dict[Event, Way] = {
    Event.CACHE_ERROR: cache_error,
    Event.OVER_BUDGET: over_budget,
    Event.REFUSED: refused,
    Event.NOT_STORED: not_stored,
    Event.UNBELIEVED: unbelieved,
    Event.UNKNOWN_KEY: unknown_key,
    Event.UNDEFINED_ARGUMENT: undefined_argument,
    Event.LEAK: leak,
    Event.ABSENT: absent,
    Event.STALE_SERVED: stale_served,
    Event.TURNED_AWAY: turned_away,
    Event.UNRECORDED: unrecorded,
}


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """What the signal tells."""
    told: list[dict[str, Any]] = []

    def note(*, signal: object, **about: Any) -> None:
        told.append(about)

    degraded.connect(note)
    yield told
    degraded.disconnect(note)


@pytest.mark.parametrize("event", WAYS)
def test_it_is_counted_told_and_logged_once(
    event: Event,
    request: pytest.FixtureRequest,
    told: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_wrong = WAYS[event](Site(request))
    for _time in range(2):
        with in_request():
            go_wrong()
    mine = [about for about in told if about["event"] is event]
    assert len(mine) >= 2
    assert happened(event) == sum(about["times"] for about in mine)
    assert all(about["sender"] is event and about["cause"] for about in mine)
    causes = {(about["fragment"], about["cause"]) for about in mine}
    logged = [
        (getattr(record, "fragment", None), getattr(record, "cause", None))
        for record in caplog.records
        if record.name == "fragcache"
    ]
    assert sorted(one for one in logged if one in causes) == sorted(causes)


def test_each_event_that_degrades_is_among_them() -> None:
    """Whoever adds one adds a way in which it comes about."""
    found = {
        node.args[0].attr
        for path in (ROOT / "fragcache").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"degrade", "tell"}
        and isinstance(node.args[0], ast.Attribute)
    }
    assert found == {event.name for event in {*WAYS, *ELSEWHERE}}
    for event, path in ELSEWHERE.items():
        assert event.name in Path(ROOT / path).read_text()
