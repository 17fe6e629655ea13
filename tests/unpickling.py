"""A guard over all tests: nothing that is read through fragcache is unpickled or unmarshalled.

An audit hook (PEP 578). However a pickle is loaded, in C or in Python, it names a class or function
by way of the event ``pickle.find_class`` alone, and what names none runs nothing. A hook cannot be
taken back. It is installed once in the process of the tests; those that they start have none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_WATCHED: Final = frozenset({"pickle.find_class", "marshal.loads", "marshal.load"})
#: Who loads what no cache gave: modules that Python compiled, what a process tells its child.
_APART: Final = frozenset({"importlib", "_frozen_importlib_external", "multiprocessing"})
#: A worker reads what the process that started it wrote into its arguments; and what the suite for
#: backends asks a cache of Django for, is its own.
_OURS_APART: Final = ("fragcache.warming.worker", "fragcache.testing")

_found: Final[list[str]] = []
_is_installed = False
_is_allowed = False


class Unpickled(RuntimeError):
    """Something was about to be loaded that whoever writes to a cache can choose."""


def install() -> None:
    """Forbid it in this process, from now on."""
    global _is_installed
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_audit)


def taken() -> list[str]:
    """Return what was forbidden since the last call.

    Whoever reads from a cache may swallow the exception, or do so in another thread.
    """
    found = _found.copy()
    _found.clear()
    return found


@contextmanager
def allowed() -> Iterator[None]:
    """What happens in here may load pickles: it tells what a cache of pickles does with them."""
    global _is_allowed
    _is_allowed = True
    try:
        yield
    finally:
        _is_allowed = False


def _audit(event: str, arguments: tuple[Any, ...], watched: frozenset[str] = _WATCHED) -> None:
    if event in watched and not _is_allowed and (reader := _reader(sys._getframe(1))):
        told = ".".join(map(str, arguments)) if event == "pickle.find_class" else "code"
        message = f"{event} of {told}, through {reader}"
        _found.append(message)
        raise Unpickled(message)


def _reader(frame: FrameType | None) -> str | None:
    """Return the module of fragcache that has it loaded, None where nobody or another has."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        root = name.partition(".")[0]
        if root in _APART or name.startswith(_OURS_APART):
            return None
        if root == "fragcache":
            return name
        frame = frame.f_back
    return None
