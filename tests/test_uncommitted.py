"""Promise T4: what is uncommitted or rolled back is not stored, whoever opened the transaction."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from fragcache import Fragment, get_fragment, get_fragments, invalidate
from fragcache.entry import Kind
from fragcache.store import store
from tests.fixtures import RoundTrips, in_request
from tests.studio.models import Band

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True),
]

BEFORE, GOOD, BAD = "Can", "Kraan", "uncommitted"


class Site:
    """A band, of which an outer fragment shows an inner one, and how it is written and shown."""

    def __init__(self, outer: Fragment, plain: Fragment) -> None:
        self.fragments = outer, plain
        self.band = Band.objects.create(name=BEFORE)

    def write(self, name: str) -> None:
        Band.objects.filter(pk=self.band.pk).update(name=name)

    def show(self) -> list[str]:
        """Return what a page shows, by primary keys and by an object that it loads."""
        loaded = Band.objects.get(pk=self.band.pk)
        return [
            *(str(get_fragment(fragment, self.band.pk)) for fragment in self.fragments),
            *(get_fragments(fragment, [loaded])[0] for fragment in self.fragments),
        ]

    def invalidate(self) -> None:
        invalidate(self.fragments[1], self.band)


@pytest.fixture
def site(cache_alias: str, declare: Any, templates: Any) -> Site:
    templates(
        {
            "band.html": "{{ band.name }}",
            "outer.html": "{% load fragcache %}<{% fragment 'library.band' band %}>",
        }
    )

    def named(name: str, template: str, version: str | None) -> Fragment:
        options = {"name": name, "items": Band.objects.all, "version": version}
        fragment: Fragment = declare(template, **options)(lambda band: {"band": band})
        return fragment

    named("library.band", "band.html", "updated_at")
    outer = named("library.outer", "outer.html", "updated_at")
    return Site(outer, named("library.plain", "band.html", None))


class Broken(Exception):
    """What a view raises."""


def atomic_rolled_back(site: Site) -> None:
    with transaction.atomic():
        site.write(BAD)
        assert_shown(site, BAD)
        transaction.set_rollback(True)


def atomic_broken_in_a_request(site: Site) -> None:
    def view() -> None:
        with transaction.atomic():
            site.write(BAD)
            assert_shown(site, BAD)
            raise Broken

    with in_request(), pytest.raises(Broken):
        view()


def atomic_committed(site: Site) -> None:
    with transaction.atomic():
        site.write(BAD)
        assert_shown(site, BAD)
        site.write(GOOD)


def savepoint_rolled_back_then_committed(site: Site) -> None:
    with in_request(), transaction.atomic():
        with transaction.atomic():
            site.write(BAD)
            assert_shown(site, BAD)
            transaction.set_rollback(True)
        site.invalidate()
        assert site.show()[0] == f"<{BEFORE}>"
        site.write(GOOD)


def savepoint_released_then_rolled_back(site: Site) -> None:
    with transaction.atomic():
        with transaction.atomic():
            site.write(BAD)
        assert_shown(site, BAD)
        transaction.set_rollback(True)


def savepoint_by_hand(site: Site) -> None:
    with in_request(), transaction.atomic():
        savepoint = connection.savepoint()
        site.write(BAD)
        assert_shown(site, BAD)
        connection.savepoint_rollback(savepoint)
        site.show()


def rolled_back_and_invalidated(site: Site) -> None:
    with transaction.atomic():
        site.write(BAD)
        site.invalidate()
        assert_shown(site, BAD)
        transaction.set_rollback(True)


def autocommit_off(site: Site) -> None:
    transaction.set_autocommit(False)
    try:
        site.write(BAD)
        assert_shown(site, BAD)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


def raw_sql_that_begins_with_with(site: Site) -> None:
    if connection.vendor != "postgresql":
        return
    with in_request(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH changed AS (UPDATE studio_band SET name = %s, updated_at = "
                "clock_timestamp() RETURNING 1) SELECT count(*) FROM changed",
                [BAD],
            )
        assert_shown(site, BAD)
        transaction.set_rollback(True)


def another_page_meanwhile(site: Site) -> None:
    if connection.vendor != "postgresql":  # SQLite in memory locks the whole table
        return
    with transaction.atomic():
        site.write(BAD)
        site.invalidate()
        assert in_thread(site.show) == [f"<{BEFORE}>", BEFORE] * 2
        transaction.set_rollback(True)


def on_commit(site: Site) -> None:
    shown = []
    with transaction.atomic():
        site.write(GOOD)
        site.invalidate()
        transaction.on_commit(lambda: shown.append(site.show()))
    assert shown == [[f"<{GOOD}>", GOOD] * 2]


def atomic_requests_broken(site: Site) -> None:
    visit(site, "broken")


def atomic_requests_committed(site: Site) -> None:
    visit(site, "good")


SCENARIOS: list[Callable[[Site], None]] = [
    atomic_rolled_back,
    atomic_broken_in_a_request,
    atomic_committed,
    savepoint_rolled_back_then_committed,
    savepoint_released_then_rolled_back,
    savepoint_by_hand,
    rolled_back_and_invalidated,
    autocommit_off,
    raw_sql_that_begins_with_with,
    another_page_meanwhile,
    on_commit,
    atomic_requests_broken,
    atomic_requests_committed,
]


COMMITTING = [
    atomic_committed,
    savepoint_rolled_back_then_committed,
    on_commit,
    atomic_requests_committed,
]


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_uncommitted_is_stored(
    cache_alias: str,
    site: Site,
    trips: RoundTrips,
    scenario: Callable[[Site], None],
    is_warm: bool,
) -> None:
    if is_warm:
        assert_shown(site, BEFORE)

    scenario(site)

    assert BAD not in stored(trips)
    name = Band.objects.get().name
    assert name == (GOOD if scenario in COMMITTING else BEFORE)
    for _page in range(2):
        assert_shown(site, name)
    assert name in stored(trips), "pages store again afterwards"


def assert_shown(site: Site, name: str) -> None:
    """Look at a page; what has no version may be as it was, since nobody invalidates it."""
    outer, plain, of_loaded, plain_of_loaded = site.show()
    assert outer == of_loaded == f"<{name}>"
    assert {plain, plain_of_loaded} <= {name, BEFORE}


def stored(trips: RoundTrips) -> set[str]:
    """Return the names in all entries that lie in the cache."""
    keys = {key for trip in trips.of("store_many") for key in trip.keys}
    found = store().read_many(keys).values()
    return {entry.payload.decode().strip("<>") for entry in found if entry.kind == Kind.HTML}


def visit(site: Site, name: str) -> None:
    """Ask for a page with ATOMIC_REQUESTS."""

    def broken(request: HttpRequest) -> HttpResponse:
        site.write(BAD)
        assert_shown(site, BAD)
        raise Broken

    def good(request: HttpRequest) -> HttpResponse:
        site.write(GOOD)
        site.invalidate()
        return HttpResponse(" ".join(site.show()))

    urls = types.ModuleType("urls")
    urls.urlpatterns = [path("broken", broken), path("good", good)]  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patched, override_settings(ROOT_URLCONF=urls):
        patched.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
        response = Client(raise_request_exception=False).get(f"/{name}")
    assert response.status_code == (200 if name == "good" else 500)


def in_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []

    def run() -> None:
        results.append(call())
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return results[0]
