"""Flights that are nobody else's: of other states, of renders within, of a parent process."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from fragcache import get_fragment, invalidate_all
from fragcache.events import Event
from fragcache.reading import flights
from tests.fixtures import any_cache, happened, without_local_cache
from tests.flying import (  # noqa: F401 - fixtures
    SOON,
    Site,
    Visitor,
    Waiting,
    answers,
    nothing_is_left,
    site,
    waiting,
)
from tests.library.models import Artist
from tests.stem import in_child
from tests.stopwatch import Stopwatch
from tests.test_tenants import tenant, tenants  # noqa: F401 - a fixture

pytestmark = [without_local_cache, pytest.mark.usefixtures("cache_alias", "nothing_is_left")]


class TestStrangers:
    """Whom a flight is no business of."""

    @any_cache
    def test_those_under_later_tokens(self, site: Site, waiting: Waiting) -> None:
        site.hold()
        first = Visitor(site.read, 1)
        site.wait_for_render()
        invalidate_all(site.fragment)
        second = Visitor(site.read, 1)
        site.wait_for_render()
        site.may_end.set()

        assert answers([first, second]) == ["<1>"] * 2
        assert waiting.count == 0

    @any_cache
    @pytest.mark.parametrize("site", ["by version"], indirect=True)
    def test_those_of_another_version(self, site: Site, waiting: Waiting) -> None:
        site.hold()
        first = Visitor(site.read, 1)
        site.wait_for_render()
        site.version = 2
        second = Visitor(site.read, 1)
        site.wait_for_render()
        site.may_end.set()

        assert answers([first, second]) == ["<1>"] * 2
        assert waiting.count == 0

    @any_cache
    def test_other_tenants(self, tenants: None, site: Site, waiting: Waiting) -> None:
        def read(name: str) -> str:
            tenant.set(name)
            return site.read(1)

        site.hold()
        visitors = [Visitor(read, "blue")]
        site.wait_for_render()
        visitors.append(Visitor(read, "green"))
        site.wait_for_render()
        site.may_end.set()

        assert answers(visitors) == ["<1>"] * 2
        assert waiting.count == 0

    @any_cache
    @pytest.mark.django_db(transaction=True)
    def test_those_in_a_transaction_that_has_written(self, site: Site, waiting: Waiting) -> None:
        site.hold()
        first = Visitor(site.read, 1)
        site.wait_for_render()
        site.work = lambda _n: None
        with transaction.atomic():
            Artist.objects.create(name="Nina")
            threading.Timer(0.1, site.may_end.set).start()
            assert site.read(1) == "<1>"
        assert (site.renders, waiting.count) == ([1, 1], 0)
        assert first.answer == "<1>"
        assert happened(Event.STORED) == 2

    @any_cache
    @pytest.mark.django_db(transaction=True)
    def test_nobody_waits_for_what_a_transaction_that_has_written_renders(
        self, site: Site, waiting: Waiting
    ) -> None:
        def read_elsewhere(_n: int) -> None:
            site.work = lambda _n: None
            assert Visitor(site.read, 1).answer == "<1>"

        site.work = read_elsewhere
        with transaction.atomic():
            Artist.objects.create(name="Nina")
            assert site.read(1) == "<1>"
        assert (site.renders, waiting.count) == ([1, 1], 0)


class TestNested:
    """No thread ever waits for itself."""

    @any_cache
    @pytest.mark.leases
    def test_a_in_b_and_b_in_a(self, declare: Any, templates: Any, waiting: Waiting) -> None:
        meet = threading.Barrier(2)
        inside = threading.local()
        shows = "{{ name }}{% if other %}{% load fragcache %}({% fragment other 1 %}){% endif %}"
        templates({"shows.html": shows})

        def context_of(name: str, other: str) -> Callable[[int], dict[str, Any]]:
            def context(_n: int) -> dict[str, Any]:
                if hasattr(inside, "name"):
                    return {"name": name}
                inside.name = name
                meet.wait(SOON)
                return {"name": name, "other": f"library.{other}"}

            return context

        for name, other in (("a", "b"), ("b", "a")):
            options = {"name": f"library.{name}", "version": lambda _n: 1}
            declare("shows.html", **options)(context_of(name, other))
        with Stopwatch() as watch:
            visitors = [Visitor(get_fragment, f"library.{name}", 1) for name in "ab"]
            first, second = answers(visitors)
        assert first in {"a(b)", "a(b(a))"}, "the inner one may be stored by now"
        assert second in {"b(a)", "b(a(b))"}
        assert waiting.count == 0
        assert watch.seconds < 1

    @any_cache
    @pytest.mark.leases
    def test_a_fragment_that_shows_itself(
        self, declare: Any, templates: Any, waiting: Waiting
    ) -> None:
        tree = (
            "{{ n }}{% if n %}{% load fragcache %}({% fragment 'library.tree' less %}){% endif %}"
        )
        templates({"tree.html": tree})
        declare("tree.html", name="library.tree", version=lambda _n: 1)(
            lambda n: {"n": n, "less": n - 1}
        )
        visitors = [Visitor(get_fragment, "library.tree", n) for n in (3, 2, 3)]

        assert answers(visitors) == ["3(2(1(0)))", "2(1(0))", "3(2(1(0)))"]

    @any_cache
    def test_a_fragment_that_is_read_while_its_rows_are_loaded(
        self, declare: Any, templates: Any, waiting: Waiting, db: None
    ) -> None:
        templates({"artist.html": "{{ artist.name }}"})
        nina = Artist.objects.create(name="Nina")
        read: list[str] = []

        def rows() -> Any:
            if len(flights._flights) and not read:
                read.append("begun")
                read.append(get_fragment("library.rows", nina))
            return Artist.objects.all()

        @declare("artist.html", name="library.rows", items=rows, version="updated_at")
        def fragment(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        assert get_fragment(fragment, nina) == "Nina"
        assert read == ["begun", "Nina"]
        assert waiting.count == 0


@any_cache
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
class TestFork:
    def forked(self, work: Callable[[], Any]) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads, on purpose
            return in_child(lambda: {"answer": work()})

    def test_nobody_waits_for_a_flight_of_the_parent(self, site: Site, waiting: Waiting) -> None:
        def read() -> list[Any]:
            site.may_end.set()
            return [site.read(1), waiting.count, happened(Event.STORED)]

        site.hold()
        first = Visitor(site.read, 1)
        site.wait_for_render()

        assert self.forked(read) == {"answer": ["<1>", 0, 1]}
        site.may_end.set()
        assert first.answer == "<1>"

    def test_nor_for_a_lock_that_a_thread_of_the_parent_held(self, site: Site) -> None:
        is_held = threading.Event()

        def hold() -> None:
            with flights._flights._lock:
                is_held.set()
                time.sleep(0.2)

        def read() -> str:
            signal.alarm(SOON)
            return site.read(1)

        holder = threading.Thread(target=hold)
        holder.start()
        assert is_held.wait(SOON)
        assert self.forked(read) == {"answer": "<1>"}
        holder.join()
