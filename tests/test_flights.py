"""Flights: of many threads that miss one instance, one renders it and all are answered."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext
from django.core.cache import caches

from fragcache import aget_fragment
from fragcache.bubbling import note_unstorable
from fragcache.events import Event
from fragcache.page import entered, of_request
from fragcache.reading import flights
from fragcache.reading.board import Board
from fragcache.slots import Slot
from tests.fixtures import CACHES, any_cache, happened, without_local_cache
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
from tests.pages import page
from tests.stopwatch import Stopwatch

pytestmark = [without_local_cache, pytest.mark.usefixtures("cache_alias", "nothing_is_left")]
every_cache = pytest.mark.parametrize("cache_alias", CACHES, indirect=True)


class Declined(Exception):
    """What the site's own code raises."""


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
            with Stopwatch() as watch:
                assert site.read(1) == "<1>"
            assert watch.elapsed > 0.1
            assert watch.seconds < 1
            assert (site.renders, happened(Event.STORED)) == ([1, 1], 1)

            assert site.read(1) == "<1>"
            assert (site.renders, happened(Event.STORED)) == ([1, 1, 1], 2), "a flight is overdue"
        finally:
            hung.set()
        assert first.answer == "<1>"

    @any_cache
    def test_many_that_were_waited_for_in_vain_are_not_compared_with_each_other(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flights, "patience", lambda _batch, _number: 0.2)
        monkeypatch.setattr(Slot, "__eq__", lambda *_slots: pytest.fail("compared"))
        hung = threading.Event()
        site.work = lambda _n: len(site.renders) > 1 or hung.wait(SOON)
        first = Visitor(site.read_many, 1, 2, 3)
        site.wait_for_render()
        try:
            assert site.read_many(1, 2, 3) == ["<1>", "<2>", "<3>"]
        finally:
            hung.set()
        assert first.answer == ["<1>", "<2>", "<3>"]
