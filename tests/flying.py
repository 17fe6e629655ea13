"""Flights under way: renders that wait until they are let go, and threads that read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.core.cache import caches

from fragcache import Fragment, get_fragment, get_fragments
from fragcache.reading import flights
from fragcache.reading.board import Flight

#: Seconds in which everything happens, unless somebody waits who should not.
SOON = 10


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
