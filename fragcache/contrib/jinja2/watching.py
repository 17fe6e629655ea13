"""Watching: what the body of a ``{% cache %}`` reads of its visitor, and what is each page's own.

Jinja2 resolves names when it compiles: what a body reads may have been looked up long before. So
names in the body itself are compiled as calls of ``in_place_of``; what it includes looks them up in
the context, which has other values for as long as the body is rendered.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from jinja2 import Undefined
from jinja2.runtime import Context
from jinja2.utils import missing

from fragcache.rendering.holes import LIVE_VARIABLES, live_variables
from fragcache.rendering.leaks import VISITORS, Guard, WatchedRequest
from fragcache.rendering.side_effects import watched_request

#: Names that do not have their page's values in what is kept.
WATCHED: Final = VISITORS | set(LIVE_VARIABLES)


class Watch:
    """What names stand for in one body."""

    def __init__(
        self, guard: Guard, context: Context, request: HttpRequest | None, around: Watch | None
    ) -> None:
        self._guard = guard
        self._request = request
        self._around = around
        values = {name: context.resolve_or_missing(name) for name in WATCHED}
        self.values: dict[str, Any] = {
            name: self._seen(name, value)
            for name, value in values.items()
            if value is not missing and name in VISITORS
        }
        self.values |= live_variables()
        self._originals: Mapping[str, Any] = values

    def in_place_of(self, name: str, value: Any) -> Any:
        """Return what a name stands for that has ``value``; variables of other origin are free."""
        # By type(): isinstance() would read what is watched.
        is_absent = name in LIVE_VARIABLES and issubclass(type(value), Undefined)
        return self.values.get(name, value) if is_absent or self.has(name, value) else value

    def has(self, name: str, value: Any) -> bool:
        """Whether it is the page's value of that name, here or in a body around this one."""
        if value is self._originals.get(name) or value is self.values.get(name):
            return True
        return self._around is not None and self._around.has(name, value)

    def _seen(self, name: str, value: Any) -> Any:
        if name == "request" and isinstance(value, HttpRequest):
            return WatchedRequest(self._guard, value)
        if name == "user" and not self._is_visitor(value):
            return value
        return SimpleLazyObject(functools.partial(self._touched, name, value))

    def _touched(self, name: str, value: Any) -> Any:
        self._guard.touch(name)
        return value

    def _is_visitor(self, user: Any) -> bool:
        if self._request is None or getattr(user, "is_anonymous", False):
            return True
        return user is getattr(self._request, "user", None)


_current: ContextVar[Watch | None] = ContextVar("fragcache_jinja2_watch", default=None)


def in_place_of(name: str, value: Any) -> Any:
    """Return what stands for a page's variable where it is read in the body of a block."""
    watch = _current.get()
    return value if watch is None else watch.in_place_of(name, value)


@contextmanager
def watched(context: Context, guard: Guard, request: HttpRequest | None) -> Iterator[None]:
    """Watch what is read of the visitor within.

    Raises:
        Leak: something was that may not be, in DEBUG and in tests.
    """
    watch = Watch(guard, context, request, _current.get())
    former = {name: context.vars.get(name, missing) for name in watch.values}
    context.vars.update(watch.values)
    reset = _current.set(watch)
    try:
        with watched_request(guard, request):
            yield
    finally:
        _current.reset(reset)
        for name, value in former.items():
            if value is missing:
                context.vars.pop(name, None)
            else:
                context.vars[name] = value
    guard.finish()


@contextmanager
def unwatched() -> Iterator[None]:
    """Render within what is a page's own."""
    reset = _current.set(None)
    try:
        yield
    finally:
        _current.reset(reset)
