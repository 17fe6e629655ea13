"""Leaks: what is one visitor's own, and would be kept for all.

A block's body sees the whole page. What it reads there of the request, the user or the session must
be told by the values that it varies on; else the first visitor's would be shown to everybody.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType, MethodType
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.template.context import Context

from fragcache import conf
from fragcache.bubbling import note_unstorable
from fragcache.counters import degrade
from fragcache.events import Event
from fragcache.exceptions import Leak
from fragcache.positions import position_of
from fragcache.rendering.side_effects import is_of_the_page, watched_side_effects

#: What context processors put into every page, and is the visitor's or the request's.
VISITORS: Final = frozenset({"request", "user", "perms", "messages", "session", "debug"})
#: What of a request axes tell.
_BY_AXIS: Final[Mapping[str, Collection[str]]] = {
    "language": {"LANGUAGE_CODE"},
    "site": {"site", "get_host", "get_port"},
    "host": {"get_host", "get_port"},
    "scheme": {"scheme", "is_secure"},
}
#: What of a request is made of other parts of it.
_MADE_OF: Final[Mapping[str, Collection[str]]] = {"_current_scheme_host": ("scheme", "get_host")}
_NOTHING: Final = nullcontext()
#: What is another visitor's as soon as the user is.
_OF_USER: Final = frozenset({"user", "auser", "perms"})


class Guard:
    """What one render may read of its visitor, and what it has read in spite of that."""

    def __init__(self, owner: str, allowed: Collection[str], remedy: str) -> None:
        """``allowed`` are the paths of what keys tell: ``user.pk``, ``request.path``, axes."""
        self._owner = owner
        self._allowed = allowed
        self._remedy = remedy
        self._leaks: dict[str, str] = {}

    def touch(self, path: str) -> None:
        """Note that something was read.

        Raises:
            Leak: it may not be, in DEBUG and in tests.
        """
        if not self._may_touch(path):
            self.refuse(path)

    def refuse(self, path: str) -> None:
        """Note that something was read which never may be; raises as ``touch``."""
        self._note(
            path,
            f"reads {path}, which is one visitor's, for what is kept for all. {self._remedy}",
        )

    def lose(self, path: str) -> None:
        """Note that something was written which a hit would not write; raises as ``touch``."""
        self._note(
            path,
            f"writes {path}, which is lost whenever this is shown from the cache. Let the view "
            "write it, or put what writes it into {% nocache %}.",
        )

    def finish(self) -> None:
        """Say what was read: tags such as ``{% if %}`` swallow exceptions.

        Raises:
            Leak: in DEBUG and in tests.
        """
        for path, message in self._leaks.items():
            if settings.DEBUG or conf.is_testing():
                raise Leak(message)
            note_unstorable()
            degrade(Event.LEAK, self._owner, path, "%s", message)

    def _may_touch(self, path: str) -> bool:
        root, _, attribute = path.partition(".")
        if root == "request" and attribute:
            if any(attribute in _BY_AXIS.get(name, {name}) for name in self._allowed):
                return True
        elif root == "request":
            return True  # what is read of it counts
        if (attribute or root) in _OF_USER and self._tells("user"):
            return True
        return self._tells(path) or self._tells(f"request.{path}")

    def _tells(self, path: str) -> bool:
        forms = (path, f"request.{path}")
        starts = tuple(f"{form}." for form in forms)
        return any(one in forms or one.startswith(starts) for one in self._allowed)

    def _note(self, path: str, what: str) -> None:
        if path not in self._leaks:
            self._leaks[path] = f"{self._owner}: {_place()} {what}"
            if settings.DEBUG or conf.is_testing():
                raise Leak(self._leaks[path])


class Watch(dict[str, Any]):
    """A layer of a context through which the visitor's variables are seen."""

    def __init__(self, guard: Guard, below: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._guard = guard
        self._below = below

    def __contains__(self, name: object) -> bool:
        return name in VISITORS and any(name in layer for layer in self._below)

    def __getitem__(self, name: str) -> Any:
        value = next(layer[name] for layer in reversed(self._below) if name in layer)
        if name == "request" and isinstance(value, HttpRequest):
            return WatchedRequest(self._guard, value)
        if name != "user" or self._is_visitor(value):
            self._guard.touch(name)
        return value

    def _is_visitor(self, user: Any) -> bool:
        """Whether a variable that is called user is the one who visits, and no row of a page."""
        request = _request_in(self._below)
        if request is None:
            return True
        return user is getattr(request, "user", None) or getattr(user, "is_anonymous", False)


class Isolation(dict[str, Any]):
    """The lowest layer of a fragment's context, which has none of the visitor's variables."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def __contains__(self, name: object) -> bool:
        if name in VISITORS:
            self._guard.refuse(str(name))
        return False


class WatchedRequest:
    """A request of which it is noted what is read."""

    __slots__ = ("_guard", "_request")

    def __init__(self, guard: Guard, request: HttpRequest) -> None:
        object.__setattr__(self, "_guard", guard)
        object.__setattr__(self, "_request", request)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._request)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._request, name)
        if name == "build_absolute_uri":  # what it reads is seen, since it reads it here
            return MethodType(type(self._request).build_absolute_uri, self)
        for part in _MADE_OF.get(name, (name,)):
            self._guard.touch(f"request.{part}")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._request, name, value)
        if is_of_the_page(self._request, name):
            self._guard.lose(f"request.{name}")


def unwatched(request: Any) -> HttpRequest | None:
    """Return a request as the site has it, None for what is none."""
    while type(request) is WatchedRequest:
        request = object.__getattribute__(request, "_request")
    return request if isinstance(request, HttpRequest) else None


def request_of(context: Context) -> HttpRequest | None:
    """Return the request that a context has, which nobody is told of."""
    return _request_in(context.dicts)


@contextmanager
def watched(context: Context, guard: Guard) -> Iterator[None]:
    """Watch what is read of the visitor within.

    Raises:
        Leak: something was that may not be, in DEBUG and in tests.
    """
    watch = Watch(guard, tuple(context.dicts))
    context.dicts.append(watch)
    context.dicts.append({})
    try:
        with watched_side_effects(guard, context, request_of(context)):
            yield
    finally:
        # By identity: a body may leave layers of its own behind.
        del context.dicts[next(n for n, one in enumerate(context.dicts) if one is watch) :]
    guard.finish()


def isolation(owner: str) -> Callable[[Context], AbstractContextManager[None]]:
    """Return what tells who writes a fragment's template that it asks for what no fragment has.

    It raises ``Leak`` in DEBUG and in tests; elsewhere nothing is there, and nothing is told.
    """
    if settings.DEBUG or conf.is_testing():
        return functools.partial(_isolated, owner=owner)
    return lambda _context: _NOTHING


@contextmanager
def _isolated(context: Context, owner: str) -> Iterator[None]:
    guard = Guard(owner, (), "Pass it as an argument, or put it into {% nocache %}.")
    context.dicts.insert(0, Isolation(guard))
    yield
    guard.finish()


def _request_in(layers: Sequence[Mapping[Any, Any]]) -> HttpRequest | None:
    for layer in reversed(layers):
        if not isinstance(layer, Watch | Isolation) and "request" in layer:
            request = layer["request"]
            return request if isinstance(request, HttpRequest) else None
    return None


def _place() -> str:
    """Return where in which template something is read, by what is being rendered."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if (position := position_of(frame)) is not None:
            return f"{position},"
        frame = frame.f_back
    return "its code"
