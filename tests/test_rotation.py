"""Promise X3: keys rotate under a site that goes on, in two processes with other settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from tests.lines import LineProcess
from tests.pages import SERVERS
from tests.plugin import require
from tests.rotating import WARMED

#: What each of the two processes has, one deployment after the other.
LIVE = [
    (["old"], ["old"]),
    (["old", "new"], ["old"]),
    (["old", "new"], ["old", "new"]),
    (["new", "old"], ["old", "new"]),
    (["new", "old"], ["new", "old"]),
]
ENDED = [(["new"], ["new", "old"]), (["new"], ["new"])]
NOTHING = {"missing": 0, "stale": 0, "unknown_key": 0, "unbelieved": 0}


class Rotating:
    """One process of the site, with the keys of its last deployment."""

    def __init__(self, process: LineProcess, cache: dict[str, Any], by: str) -> None:
        self.keys = ["old"]
        self._process = process
        self._site = {"cache": cache, "by": by}

    def do(self, what: str, **task: Any) -> dict[str, Any]:
        return self._process.ask({"do": what, "keys": self.keys, **self._site, **task})

    def visit(self, **page: list[int]) -> dict[str, int]:
        """Show a page; return what was wrong with what the cache had of it."""
        names = {f"site.{name}": numbers for name, numbers in page.items()}
        found = self.do("page", page=names)
        numbers = [number for name in sorted(page) for number in page[name]]
        assert found.pop("shown") == [f"<{number}>" for number in numbers]
        return found


@pytest.fixture(scope="module")
def processes() -> Iterator[list[LineProcess]]:
    with LineProcess("tests.rotating", {}) as one, LineProcess("tests.rotating", {}) as other:
        yield [one, other]


@pytest.fixture(params=["SECRET_KEYS", "SECRET_KEY_FALLBACKS"])
def by(request: pytest.FixtureRequest) -> str:
    """The settings that say the keys."""
    setting: str = request.param
    return setting


@pytest.fixture(params=SERVERS)
def two(
    request: pytest.FixtureRequest, processes: list[LineProcess], by: str
) -> tuple[Rotating, Rotating]:
    """Two processes of a site of which all is warm."""
    require(request.config, request.param)
    cache = {**settings.CACHES[request.param], "KEY_PREFIX": uuid.uuid4().hex[:8]}
    one, other = (Rotating(process, cache, by) for process in processes)
    one.do("warm")
    one.visit(on_demand=EVERY)
    return one, other


EVERY = list(range(WARMED))
PAGE = {"versioned": EVERY, "timed": EVERY, "on_demand": EVERY}


def test_without_a_miss(two: tuple[Rotating, Rotating]) -> None:
    one, other = two
    for number, (one.keys, other.keys) in enumerate(LIVE):
        for process in two:
            assert process.visit(**PAGE) == NOTHING, (one.keys, other.keys)
        for writer, reader, new in ((one, other, 100 + number), (other, one, 200 + number)):
            assert writer.visit(on_demand=[new]) == {**NOTHING, "missing": 1}
            assert reader.visit(on_demand=[new]) == NOTHING, (one.keys, other.keys)
    assert one.do("warm")["rendered"] == {"site.versioned": WARMED, "site.timed": WARMED}
    assert one.do("warm")["rendered"] == {"site.versioned": 0, "site.timed": WARMED}

    for one.keys, other.keys in ENDED:
        for process in two:
            assert process.visit(versioned=EVERY, timed=EVERY) == NOTHING, (one.keys, other.keys)


def test_what_no_run_warms_is_missing_once_if_the_old_key_goes_before_its_time_out(
    two: tuple[Rotating, Rotating],
) -> None:
    one, _other = two
    for one.keys in (["old", "new"], ["new", "old"]):
        assert one.visit(on_demand=EVERY) == NOTHING
    one.do("warm")
    one.keys = ["new"]
    assert one.visit(on_demand=EVERY) == {**NOTHING, "missing": WARMED, "unknown_key": WARMED}
    assert one.visit(on_demand=EVERY) == NOTHING


def test_an_invalidation_is_heard_whatever_key_it_is_sealed_with(
    two: tuple[Rotating, Rotating],
) -> None:
    one, other = two
    for number, (one.keys, other.keys) in enumerate(LIVE):
        writer, reader = two if number % 2 else (other, one)
        writer.do("invalidate", n=number)
        assert reader.visit(timed=EVERY) == {**NOTHING, "stale": 1}
        assert writer.visit(timed=EVERY) == NOTHING


def test_a_key_that_seals_before_all_processes_know_it_makes_misses_that_tell_why(
    two: tuple[Rotating, Rotating],
) -> None:
    """What the steps are good for: as when one deployment puts the new key first."""
    one, other = two
    one.keys = ["new", "old"]
    assert one.visit(on_demand=[100]) == {**NOTHING, "missing": 1}
    found = other.visit(on_demand=[100])
    assert found["missing"] == 1
    assert found["unknown_key"] >= 1
