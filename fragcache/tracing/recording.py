"""Recording: who wants to know what is done, and what is being done."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol, TypeVar

from fragcache.locks import new_lock
from fragcache.tracing.spans import Render, Span, Trace

logger = logging.getLogger("fragcache")

#: Whether anybody in the process listens or records. Optimisation: all that tracing costs the
#: others is to look at this.
is_on: bool = False


class Listener(Protocol):
    """What ``listen`` takes; it is called while a visitor waits, and what it raises is logged."""

    def began(self, span: Span) -> None: ...

    def ended(self, span: Span) -> None: ...


_listeners: tuple[Listener, ...] = ()
_records = 0
_lock = new_lock()
_traces: Final[ContextVar[tuple[Trace, ...]]] = ContextVar("fragcache_traces", default=())
_current: Final[ContextVar[Span | None]] = ContextVar("fragcache_span", default=None)
S = TypeVar("S", bound=Span)


@contextmanager
def record() -> Iterator[Trace]:
    """Record what is done within, by this thread or task and what it awaits."""
    trace = Trace(within=_current.get())
    reset = _traces.set((*_traces.get(), trace))
    _add_records(1)
    try:
        yield trace
    finally:
        _add_records(-1)
        _traces.reset(reset)


def listen(listener: Listener) -> None:
    """Tell ``listener`` of every span of the process."""
    global _listeners
    with _lock:
        _listeners = (*(one for one in _listeners if one is not listener), listener)
    _add_records(0)


def leave(listener: Listener) -> None:
    """Tell ``listener`` of none any more."""
    global _listeners
    with _lock:
        _listeners = tuple(one for one in _listeners if one is not listener)
    _add_records(0)


def is_wanted() -> bool:
    """Whether somebody wants to know what is done here; ask ``is_on`` first."""
    return bool(_listeners or _traces.get())


@contextmanager
def span(made: S) -> Iterator[S]:
    """Let ``made`` be the span of what is done within."""
    made.parent = _current.get()
    made.began, made.began_at = time.perf_counter_ns(), time.time_ns()
    _tell("began", made)
    reset = _current.set(made)
    try:
        yield made
    except BaseException as error:
        made.error = type(error).__name__
        raise
    finally:
        _current.reset(reset)
        made.duration = time.perf_counter_ns() - made.began
        _keep(made)
        _tell("ended", made)


def render_of(fragment: str, encoded: str) -> Render | None:
    """Return the last recorded render of an instance, by its arguments as keys have them."""
    found = (trace.renders.get((fragment, encoded)) for trace in _traces.get())
    return next((one for one in found if one is not None), None)


def note_round_trip(nanoseconds: int) -> None:
    """Note that a cache was asked for so long."""
    inside = _current.get()
    for one in _traces.get() if inside is None else (inside,):
        one.round_trips += 1
        one.waited += nanoseconds


def _keep(made: Span) -> None:
    if made.parent is not None and made.parent.has_children:
        made.parent.children.append(made)
    for trace in _traces.get():
        if made.parent is trace.within:
            trace.spans.append(made)
        if isinstance(made, Render):
            trace.renders[made.fragment, made.encoded] = made


def _tell(what: str, made: Span) -> None:
    for listener in _listeners:
        try:
            getattr(listener, what)(made)
        except Exception:
            logger.exception("%r, which listens to fragcache.tracing, has failed.", listener)


def _add_records(number: int) -> None:
    global _records, is_on
    with _lock:
        _records += number
        is_on = bool(_records or _listeners)
