"""Promise T1 by exhaustion: in no order of events is a stale entry stored under a new key.

Two pages and one change, each in its steps, in every order there is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fragcache import get_fragment, invalidate_all, page, tokens
from fragcache.events import Event
from fragcache.local import LocalCache
from fragcache.store import store
from tests.fixtures import Clock, any_cache, elsewhere, happened

NAME = "library.row"


class Database:
    value = "old"


class Row:
    """An object as a view loaded it; all of them have one key."""

    def __init__(self) -> None:
        self.value = Database.value

    def fragment_identity(self) -> int:
        return 1


class Process:
    """What one process knows: its tokens and local cache, and the page that it builds."""

    def __init__(self, sibling: Process | None = None) -> None:
        self.memory = sibling.memory if sibling else tokens.Memory()
        self.local = sibling.local if sibling else LocalCache(2**20)
        self.page: page.Page | None = None
        self.row: Row | None = None
        with self.running():
            get_fragment(NAME, "another instance")  # the process has been up for some time

    @contextmanager
    def running(self) -> Iterator[None]:
        former, tokens._memory = tokens._memory, self.memory
        store().__dict__["local"] = self.local
        page._current.set(self.page)
        try:
            yield
        finally:
            tokens._memory = former
            page._current.set(None)

    def begin(self) -> None:
        self.page = page._begin(is_request=True)

    def load(self) -> None:
        self.row = Row()

    def read(self) -> str:
        with self.running():
            html: str = get_fragment(NAME, self.row)
        return html

    def whole_page(self) -> str:
        self.begin()
        self.load()
        return self.read()

    @property
    def steps(self) -> list[Callable[[], Any]]:
        return [self.begin, self.load, self.read]


def write() -> None:
    Database.value = "new"


def invalidate_elsewhere() -> None:
    with elsewhere():
        invalidate_all(NAME)


#: By whose step it is: the first page's, the second one's, or the change's.
EVERY_ORDER = sorted(set(itertools.permutations("111222cc")))


@any_cache
@pytest.mark.parametrize("version", [None, lambda _row: 1], ids=["by head", "by version"])
@pytest.mark.parametrize("are_threads", [False, True], ids=["processes", "threads"])
def test_after_every_order_of_two_pages_and_a_change_the_new_is_shown(
    cache_alias: str,
    declare: Any,
    templates: Any,
    clock: Clock,
    version: Any,
    are_threads: bool,
) -> None:
    templates({"row.html": "{{ row.value }}"})

    @declare("row.html", name=NAME, version=version)
    def row(row: Any) -> dict[str, Any]:
        return {"row": row}

    stored = 0
    for order in EVERY_ORDER:
        Database.value = "old"
        invalidate_all(NAME)
        clock.step(11)
        first = Process()
        second = Process(first if are_threads else None)
        before = happened(Event.STORED)
        steps = {
            "1": iter(first.steps),
            "2": iter(second.steps),
            "c": iter([write, invalidate_elsewhere]),
        }

        for owner in order:
            next(steps[owner])()

        stored += happened(Event.STORED) > before
        assert Process().whole_page() == "new", order
        clock.step(11)
        for _page in range(2):
            assert Process().whole_page() == "new", order
    assert stored > 100, "nothing would be proved if nothing were ever stored"


@pytest.fixture(autouse=True)
def row_of_old() -> Iterator[None]:
    Database.value = "old"
    yield
    Database.value = "old"
