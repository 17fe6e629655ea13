"""Fixtures of the tests that read and write fragments: caches, requests, clocks, round trips."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings

from fragcache import Fragment, counters, registry, tokens
from fragcache.backends.generic import adapt
from fragcache.events import Event, Miss
from fragcache.models import Counts, Totals
from fragcache.store import Store
from fragcache.warming import Plan, Report, Run, Status
from tests.block_pages import Counter
from tests.library.models import Artist
from tests.plugin import BY_NAME, require

CACHES = ("redis", "memcached", "embedded", "locmem")
#: For claims that hold above the cache: one that needs no server.
any_cache = pytest.mark.parametrize("cache_alias", ["embedded"], indirect=True)

#: For claims about what the cache itself holds or is asked.
without_local_cache = pytest.mark.without_local_cache

#: What is called with keys, or with values by key.
BULK = frozenset(
    {"get_many", "store_many", "add_many", "touch_many", "advance_many", "delete_many"}
)


class Trip(NamedTuple):
    """One call of a cache's bulk primitive, and so one round trip."""

    command: str
    keys: tuple[str, ...]
    timeout: float | None


class RoundTrips(list[Trip]):
    """The calls of the cache since the fixture was set up or cleared."""

    def of(self, command: str) -> list[Trip]:
        return [trip for trip in self if trip.command == command]

    @property
    def commands(self) -> list[str]:
        return [trip.command for trip in self]

    @property
    def writes(self) -> list[Trip]:
        return [trip for trip in self if trip.command != "get_many"]


class Watched:
    """A backend that notes the calls of its bulk primitives."""

    def __init__(self, backend: Any, trips: RoundTrips) -> None:
        self._backend = backend
        self._trips = trips

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._backend, name)
        if name not in BULK:
            return attribute

        def noted(keys: Any, timeout: float | None = None) -> Any:
            # The threads of guards that other tests have left ask whenever they do.
            if not threading.current_thread().name.startswith("fragcache guard"):
                self._trips.append(Trip(name, tuple(keys), timeout))
            return (
                attribute(keys) if name in {"get_many", "delete_many"} else attribute(keys, timeout)
            )

        return noted


class Clock:
    """This machine's clock, which a test can step."""

    def __init__(self) -> None:
        self._ahead = 0
        self._true = time.time_ns

    def time_ns(self) -> int:
        return self._true() + self._ahead

    def step(self, seconds: float) -> None:
        self._ahead += round(seconds * 1_000_000_000)


@pytest.fixture(params=CACHES)
def cache_alias(request: pytest.FixtureRequest, settings: Any) -> str:
    """Each kind of cache in turn, empty, as the one that fragments are kept in."""
    alias: str = request.param
    if alias in BY_NAME:
        require(request.config, alias)
    settings.FRAGCACHE = {"CACHE_ALIAS": alias, **local_settings(request)}
    caches[alias].clear()
    return alias


def local_settings(request: pytest.FixtureRequest) -> dict[str, int | None]:
    """The settings of the local cache that a test asks for.

    However busy the machine is, a page waits for its cache, but in the tests of the guard.
    """
    is_without = request.node.get_closest_marker("without_local_cache") is not None
    return {"PAGE_BUDGET": None, **({"LOCAL_MAX_BYTES": 0} if is_without else {})}


@pytest.fixture
def use_backend(
    request: pytest.FixtureRequest, settings: Any, tmp_path: Path
) -> Callable[[type[BaseCache]], str]:
    """A function that keeps fragments in a cache of a class of the tests, and names its alias."""

    def use(kind: type[BaseCache]) -> str:
        backend = f"{kind.__module__}.{kind.__qualname__}"
        location = str(tmp_path / "cache.sqlite3")
        settings.CACHES = {
            **settings.CACHES,
            "special": {"BACKEND": backend, "LOCATION": location},
        }
        settings.FRAGCACHE = {"CACHE_ALIAS": "special", **local_settings(request)}
        return "special"

    return use


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> RoundTrips:
    """The round trips to the cache, which are made as ever."""
    trips = RoundTrips()

    def backend(store: Store) -> Watched:
        return Watched(adapt(caches[store.alias]), trips)

    monkeypatch.setattr(Store, "backend", property(backend))
    return trips


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time_ns", clock.time_ns)
    return clock


@pytest.fixture
def n() -> Counter:
    return Counter()


@pytest.fixture
def renders() -> list[Any]:
    """What was rendered, in order: for context functions to append to."""
    return []


@pytest.fixture
def artists(db: None) -> list[Artist]:
    return Artist.objects.bulk_create([Artist(name="Nina"), Artist(name="Ella")])


@pytest.fixture
def artist_card(declare: Any, templates: Any, renders: list[Any]) -> Any:
    """A fragment of each artist, with a version; what is rendered is in ``renders``."""
    templates({"artist_card.html": "<b>{{ artist.name }}</b>"})

    @declare(
        "artist_card.html",
        name="library.artist_card",
        items=Artist.objects.all,
        version="updated_at",
    )
    def artist_card(artist: Artist) -> dict[str, Any]:
        renders.append(artist.pk)
        return {"artist": artist}

    return artist_card


@pytest.fixture
def greeting(declare: Any, templates: Any, renders: list[Any]) -> Any:
    """A fragment without version, model or database."""
    templates({"greeting.html": "Hello {{ name }}"})

    @declare("greeting.html", name="library.greeting")
    def greeting(name: str) -> dict[str, Any]:
        renders.append(name)
        return {"name": name}

    return greeting


@contextmanager
def on_target(*names: str, **changes: Any) -> Iterator[None]:
    """What happens in here happens on a site that reads fragments which another one declares."""
    declared = [registry.get(name) for name in names]
    for name in names:
        registry.remove(name)
    own = {**settings.FRAGCACHE, "READ_ONLY": True, **changes}
    try:
        with override_settings(FRAGCACHE=own):
            yield
    finally:
        for fragment in declared:
            registry.add(fragment)


def warm(*fragments: Fragment, **options: Any) -> Report:
    """Execute a run that must succeed."""
    report = Run(Plan(fragments=fragments, **options)).execute()
    assert report.status is Status.OK
    return report


@contextmanager
def in_request() -> Iterator[None]:
    """What happens in here happens in one request."""
    # As Django's test client does, to keep the connection of the test's transaction.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        request_started.send(sender=None)
        yield
    finally:
        request_finished.send(sender=None)
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@contextmanager
def elsewhere() -> Iterator[None]:
    """What happens in here happens in another process: this one learns nothing of its tokens."""
    mine = dict(tokens._memory._known)
    tokens._memory._known.clear()
    try:
        yield
    finally:
        tokens._memory._known.clear()
        tokens._memory._known.update(mine)


def counted(field: str, fragment: str | None = None) -> int:
    """Return the sum of a field of the sheets, of one fragment or of all."""
    return sum(
        sheet.get(field, 0)
        for (name, _axes), sheet in counters.sheets().items()
        if fragment in {None, name}
    )


def reasons() -> dict[str, int]:
    """Return how often instances were missed, by the reasons."""
    return {reason.name: times for reason in Miss if (times := counted(reason))}


def happened(event: Event, fragment: str | None = None) -> int:
    """Return how often it was counted, for one fragment or in all."""
    return sum(
        times
        for (name, counted), times in counters.totals().items()
        if counted is event and fragment in {None, name}
    )


@pytest.fixture
def no_counts(db: None) -> None:
    """Nothing was counted yet; processes of other tests have written what they counted."""
    Counts.objects.all().delete()
    Totals.objects.all().delete()
