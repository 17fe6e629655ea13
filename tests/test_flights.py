"""Flights: of many threads that miss one instance, one renders it and nobody waits in vain."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext
from django.core.cache import caches
from django.db import transaction

from fragcache import Fragment, aget_fragment, get_fragment, get_fragments, invalidate_all
from fragcache.bubbling import note_unstorable
from fragcache.counters import Event
from fragcache.page import entered, of_request
from fragcache.reading import flights
from fragcache.reading.board import KEPT_CHARACTERS, KEPT_SECONDS, Board, Flight
from tests.fixtures import CACHES, any_cache, happened, without_local_cache
from tests.library.models import Artist
from tests.pages import page
from tests.stem import in_child
from tests.test_tenants import tenant, tenants  # noqa: F401 - a fixture

pytestmark = [without_local_cache, pytest.mark.usefixtures("cache_alias", "nothing_is_left")]
every_cache = pytest.mark.parametrize("cache_alias", CACHES, indirect=True)
#: Seconds in which everything happens, unless somebody waits who should not.
SOON = 10


class Declined(Exception):
    """What the site's own code raises."""


class Site:
    """A fragment of numbers whose renders wait until they are let go."""

    def __init__(self) -> None:
        self.renders: list[int] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.begun = threading.Semaphore(0)
        #: What a render does before it ends.
        self.work: Callable[[int], object] = lambda _n: None
        self.version = 1
        self.fragment: Fragment

    def render(self, n: int) -> dict[str, Any]:
        self.renders.append(n)
        self.begun.release()
        assert self.may_end.wait(SOON)
        self.work(n)
        return {"n": f"{n}.{len(self.renders)}" if n < 0 else n}

    def read(self, n: int) -> str:
        return str(get_fragment(self.fragment, n))

    def read_many(self, *numbers: int) -> list[str]:
        return [str(html) for html in get_fragments(self.fragment, numbers)]

    def hold(self) -> None:
        """Let renders wait from now on."""
        self.may_end.clear()

    def wait_for_render(self) -> None:
        assert self.begun.acquire(timeout=SOON)


@pytest.fixture(params=["by version", "by head"])
def site(request: pytest.FixtureRequest, declare: Any, templates: Any) -> Iterator[Site]:
    templates({"n.html": "<{{ n }}>"})
    site = Site()
    by_version = {"version": lambda _n: site.version}
    options = by_version if request.param == "by version" else {"stamped": False}
    site.fragment = declare("n.html", name="library.n", **options)(site.render)
    site.read(0)  # its tokens are there
    site.renders.clear()
    site.begun.acquire()
    yield site
    site.may_end.set()


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    yield
    assert len(flights._flights) == 0


class Waiting:
    """How many threads wait for flights of others, or have."""

    def __init__(self) -> None:
        self.count = 0

    def reach(self, count: int) -> None:
        deadline = time.monotonic() + SOON
        while self.count < count:
            assert time.monotonic() < deadline, f"{self.count} wait, not {count}"
            time.sleep(0.001)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    waiting = Waiting()
    wait = Flight.wait

    def noted(flight: Flight, until: float) -> str | None:
        waiting.count += 1
        return wait(flight, until)

    monkeypatch.setattr(Flight, "wait", noted)
    return waiting


class Visitor(threading.Thread):
    """A thread that reads; its answer is what it read, or the exception it got."""

    def __init__(self, read: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._call = (read, arguments)
        self._answer: Any = None
        self.start()

    def run(self) -> None:
        read, arguments = self._call
        try:
            self._answer = read(*arguments)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self._answer = error
        finally:
            caches.close_all()

    @property
    def answer(self) -> Any:
        self.join(SOON)
        assert not self.is_alive(), "still waiting"
        return self._answer


def answers(visitors: Sequence[Visitor]) -> list[Any]:
    return [visitor.answer for visitor in visitors]


class TestOneRender:
    @every_cache
    @pytest.mark.leases
    def test_is_of_32_threads_that_miss_one_instance(self, site: Site, waiting: Waiting) -> None:
        site.hold()
        visitors = [Visitor(site.read, 1) for _ in range(32)]
        waiting.reach(31)
        site.may_end.set()

        assert answers(visitors) == ["<1>"] * 32
        assert site.renders == [1]
        assert happened(Event.RENDERED) == happened(Event.STORED) == 2

    @every_cache
    def test_is_of_those_too_who_looked_before_it_ended_and_came_afterwards(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_looked, may_come = threading.Event(), threading.Event()
        begin = Board.begin

        def late(board: Board, *arguments: Any) -> Any:
            if threading.current_thread() is visitor:
                has_looked.set()
                assert may_come.wait(SOON)
            return begin(board, *arguments)

        visitor = threading.current_thread()
        monkeypatch.setattr(Board, "begin", late)
        read_by = threading.Barrier(2)

        def read() -> str:
            read_by.wait(SOON)
            return site.read(1)

        visitor = Visitor(read)
        read_by.wait(SOON)
        assert has_looked.wait(SOON)
        assert site.read(1) == "<1>"
        may_come.set()

        assert visitor.answer == "<1>"
        assert site.renders == [1]

    @any_cache
    def test_is_not_of_pages_that_begin_when_it_has_ended(
        self, site: Site, cache_alias: str
    ) -> None:
        site.read(1)
        caches[cache_alias].clear()
        site.read(1)

        assert site.renders == [1, 1]

    @any_cache
    def test_is_of_each_instance_where_batches_overlap(self, site: Site, waiting: Waiting) -> None:
        site.hold()
        first = Visitor(site.read_many, 1, 2)
        site.wait_for_render()
        second = Visitor(site.read_many, 2, 3, 1)
        site.wait_for_render()  # of what is its own
        assert site.renders == [1, 3]
        assert waiting.count == 0
        site.may_end.set()

        assert first.answer == ["<1>", "<2>"]
        assert second.answer == ["<2>", "<3>", "<1>"]
        assert sorted(site.renders) == [1, 2, 3]

    @any_cache
    def test_is_of_each_instance_where_batches_overlap_in_a_circle(self, site: Site) -> None:
        for base in range(10, 110, 10):
            pairs = [(base, base + 1), (base + 1, base + 2), (base + 2, base)]
            visitors = [Visitor(site.read_many, *pair) for pair in pairs]
            assert answers(visitors) == [[f"<{n}>" for n in pair] for pair in pairs]
        assert len(site.renders) == len(set(site.renders)) == 30

    @any_cache
    def test_is_of_tags_and_prefetched_groups(self, site: Site, waiting: Waiting) -> None:
        source = (
            "{% prefetch_fragments 'library.n' numbers %}"
            "{% for n in numbers %}{% fragment 'library.n' n %}{% endfor %}"
        )
        site.hold()
        visitors = [Visitor(lambda: page(source, numbers=[1, 2, 3])) for _ in range(4)]
        waiting.reach(3)
        visitors.append(Visitor(lambda: page("{% fragments 'library.n' numbers %}", numbers=[3])))
        waiting.reach(4)
        site.may_end.set()

        assert answers(visitors) == ["<1><2><3>"] * 4 + ["<3>"]
        assert site.renders == [1, 2, 3]

    @any_cache
    def test_is_what_a_page_shows_in_many_places(self, site: Site, waiting: Waiting) -> None:
        def read() -> list[str]:
            with entered(of_request()):
                return [site.read(1) for _place in range(3)]

        site.hold()
        visitors = [Visitor(read) for _ in range(2)]
        waiting.reach(1)
        site.may_end.set()

        assert answers(visitors) == [["<1>"] * 3] * 2
        assert site.renders == [1]

    @any_cache
    def test_is_of_asynchronous_readers(self, site: Site) -> None:
        async def request() -> str:
            async with ThreadSensitiveContext():
                return str(await aget_fragment(site.fragment, 1))

        async def together() -> list[str]:
            return await asyncio.gather(*(request() for _ in range(8)))

        assert asyncio.run(together()) == ["<1>"] * 8
        assert site.renders == [1]


class TestFailures:
    @any_cache
    def test_each_gets_an_exception_of_its_own(self, site: Site, waiting: Waiting) -> None:
        def fail(n: int) -> None:
            raise Declined(f"not {n}")

        site.work = fail
        site.hold()
        visitors = [Visitor(site.read, 1) for _ in range(4)]
        waiting.reach(3)
        site.may_end.set()

        errors = answers(visitors)
        assert [str(error) for error in errors] == ["not 1"] * 4
        assert len(set(map(id, errors))) == 4
        assert happened(Event.STORED) == 1

        site.work = lambda _n: None
        assert site.read(1) == "<1>", "nobody waits afterwards"
        assert waiting.count == 3
        assert happened(Event.STORED) == 2

    @any_cache
    def test_the_error_of_one_is_not_anothers(self, site: Site, waiting: Waiting) -> None:
        def fail_once(_n: int) -> None:
            if len(site.renders) == 1:
                raise Declined

        site.work = fail_once
        site.hold()
        first = Visitor(site.read, 1)
        site.wait_for_render()
        others = [Visitor(site.read, 1) for _ in range(3)]
        waiting.reach(3)
        site.may_end.set()

        assert isinstance(first.answer, Declined)
        assert answers(others) == ["<1>"] * 3

    @any_cache
    def test_what_may_not_be_stored_is_shown_to_nobody_else(
        self, site: Site, waiting: Waiting
    ) -> None:
        site.work = lambda _n: note_unstorable()
        site.hold()
        visitors = [Visitor(site.read, -1) for _ in range(4)]
        waiting.reach(3)
        site.may_end.set()

        assert all(answer.startswith("<-1.") for answer in answers(visitors))
        assert len(site.renders) == 4
        assert happened(Event.STORED) == 1

    @any_cache
    def test_who_has_waited_for_long_renders_and_stores_nothing(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flights, "patience", lambda _batch, _number: 0.2)
        hung = threading.Event()
        site.work = lambda _n: len(site.renders) > 1 or hung.wait(SOON)
        first = Visitor(site.read, 1)
        site.wait_for_render()
        try:
            began = time.monotonic()
            assert site.read(1) == "<1>"
            assert 0.1 < time.monotonic() - began < 1
            assert (site.renders, happened(Event.STORED)) == ([1, 1], 1)

            assert site.read(1) == "<1>"
            assert (site.renders, happened(Event.STORED)) == ([1, 1, 1], 2), "a flight is overdue"
        finally:
            hung.set()
        assert first.answer == "<1>"


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
    def test_other_tenants(self, tenants: None, site: Site, waiting: Waiting) -> None:  # noqa: F811
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
        began = time.monotonic()
        visitors = [Visitor(get_fragment, f"library.{name}", 1) for name in "ab"]

        first, second = answers(visitors)
        assert first in {"a(b)", "a(b(a))"}, "the inner one may be stored by now"
        assert second in {"b(a)", "b(a(b))"}
        assert waiting.count == 0
        assert time.monotonic() - began < 1

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

        assert self.forked(read) == {"answer": ["<1>", 0, 2]}
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


@any_cache
class TestWhatIsKeptOfFlightsThatEnded:
    def land(self, board: Board, name: str, html: str) -> None:
        keys = {name: ("", name, "", b"")}
        boarding = board.begin(keys, {name}, time.monotonic(), time.monotonic() + SOON)
        board.end(keys, boarding.own, {name: html})

    def test_is_bounded(self) -> None:
        board = Board()
        for n in range(100):
            self.land(board, f"{n}", "x" * (KEPT_CHARACTERS // 10))
        self.land(board, "large", "x" * (KEPT_CHARACTERS + 1))

        assert board._characters == sum(len(kept.html) for kept in board._landed.values())
        assert list(board._landed) == [("", f"{n}", "", b"") for n in range(90, 100)]

    def test_is_dropped_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        board = Board()
        self.land(board, "former", "x")
        later = time.monotonic() + KEPT_SECONDS
        monkeypatch.setattr(time, "monotonic", lambda: later)
        self.land(board, "latter", "y")

        assert list(board._landed) == [("", "latter", "", b"")]
        assert board._characters == 1
