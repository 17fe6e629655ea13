"""The page being built: when its request began, and what it has fetched.

Data that a view loaded was read after its request began; that moment is all that is known of its
age. Outside of a request each outermost call is a page of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.core.signals import request_finished, request_started

from fragcache.entry import Entry
from fragcache.local import Kept


@dataclass(slots=True)
class Wanted:
    """What one multi-get asks for."""

    #: Keys of entries, and the seconds that a copy may be kept.
    entries: dict[str, float | None] = field(default_factory=dict)
    #: Keys of heads, and of the entry that one names the base of the key and the seconds.
    heads: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    #: Names of tokens.
    names: dict[Any, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.entries or self.heads or self.names)

    def add(self, other: Wanted) -> None:
        # Not in place: what it was made with is the caller's.
        self.entries = self.entries | other.entries
        self.heads = self.heads | other.heads
        self.names = self.names | other.names


@dataclass(slots=True)
class Memory:
    """What a page has fetched of one cache alias; None is what was not there."""

    entries: dict[str | None, Kept | None] = field(default_factory=dict)
    heads: dict[str, Entry | None] = field(default_factory=dict)
    #: What was there, and was not believed; and as which ``events.Event``.
    unbelieved: dict[str, str] = field(default_factory=dict)
    #: By fragment and kind of entry, the head that all its instances have in an atomic set.
    pins: dict[tuple[str, int], Entry] = field(default_factory=dict)
    #: By name, the atomic sets that the page shows.
    sets: dict[str, Any] = field(default_factory=dict)
    #: The keys of heads that are pinned, and are not fetched.
    pinned: set[str] = field(default_factory=set)
    #: What the next multi-get brings as well.
    wishes: Wanted = field(default_factory=Wanted)
    #: By the base of their keys, what was prefetched by one call, and the versions of it.
    groups: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    #: What was asked for, where someone learns it.
    used: list[Any] | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Page:
    """One request, or one outermost call outside of any."""

    #: ``time.monotonic()``: comparable within the process.
    began: float
    #: Microseconds since 1970 UTC: comparable, roughly, with other machines.
    began_at: int
    is_request: bool = False
    #: Whether somebody waits for it.
    is_visited: bool = True
    #: Seconds that were waited for caches and the source.
    waited: float = 0.0
    #: Those of them that were waited for the source.
    asked: float = 0.0
    #: Whether something that it had written was rolled back: what it has read may be that.
    has_rolled_back: bool = False
    #: Whether someone learns what the page asks for.
    is_learned: bool = False
    memories: dict[str, Memory] = field(default_factory=dict)
    #: What is left to do when the visitor has the answer.
    later: list[Callable[[], object]] = field(default_factory=list)

    def finish(self) -> None:
        """Do what was left for later."""
        later, self.later = self.later, []
        for call in later:
            call()

    def learn(self) -> None:
        """Note what the page asks for from now on."""
        self.is_learned = True
        for memory in self.memories.values():
            memory.used = memory.used or []

    def memory(self, space: str) -> Memory:
        """Return what the page has fetched of a cache, by the space of its keys."""
        memory = self.memories.get(space)
        if memory is None:
            memory = self.memories[space] = Memory(used=[] if self.is_learned else None)
        return memory


_current: ContextVar[Page | None] = ContextVar("fragcache_page", default=None)
#: Of ASGI, by what asgiref tells requests apart. Django 5.2 tells of their beginning in a task of
#: its own, whose context ends with it.
_of_requests: WeakKeyDictionary[ThreadSensitiveContext, Page] = WeakKeyDictionary()


def current() -> Page:
    """Return the page being built, or one that begins now."""
    return active() or outside()


def active() -> Page | None:
    """Return the page being built; None outside of a request and of any call."""
    return _current.get() or (_of_requests.get(request) if (request := _asgi_request()) else None)


def outside() -> Page:
    """Return a page that begins now and belongs to no request."""
    return _begin(is_request=False)


def of_request() -> Page:
    """Return a page of a request that begins now."""
    return _begin(is_request=True)


@contextmanager
def entered(page: Page) -> Iterator[Page]:
    """Make ``page`` the one being built."""
    reset = _current.set(page)
    try:
        yield page
    finally:
        _current.reset(reset)


def of_render(state: dict[Any, Any]) -> Page:
    """Return the page that a template's render is, outside of a request; ``state`` is its own."""
    page: Page | None = state.get(Page)
    if page is None:
        page = state[Page] = outside()
    return page


def now() -> int:
    """Return the microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _begin(*, is_request: bool) -> Page:
    return Page(began=time.monotonic(), began_at=now(), is_request=is_request)


def _asgi_request() -> ThreadSensitiveContext | None:
    found: ThreadSensitiveContext | None = SyncToAsync.thread_sensitive_context.get(None)
    return found


def _request_began(**_kwargs: object) -> None:
    page = of_request()
    _current.set(page)
    if (request := _asgi_request()) is not None:
        _of_requests[request] = page


def _request_ended(**_kwargs: object) -> None:
    ended = active()
    _current.set(None)
    if (request := _asgi_request()) is not None:
        _of_requests.pop(request, None)
    if ended is not None:
        ended.finish()


request_started.connect(_request_began, dispatch_uid="fragcache.page")
request_finished.connect(_request_ended, dispatch_uid="fragcache.page")
