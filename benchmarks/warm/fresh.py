"""Fresh processes: one for each measurement of memory, and for each database."""

from __future__ import annotations

import multiprocessing
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

#: Takes the name of a function, "package.module:function", and its arguments.
Call = Callable[..., Any]


@contextmanager
def process() -> Iterator[Call]:
    """Yield what calls functions in a new process with Django set up.

    They are named, since this process has no Django: settings differ from database to database.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin) as pool:
        yield lambda name, *arguments: pool.submit(_called, name, arguments).result()


def fresh(name: str, *arguments: Any) -> Any:
    """Return what a function returns in a new process that does nothing else."""
    with process() as call:
        return call(name, *arguments)


def _begin() -> None:
    import django

    django.setup()


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    return pkgutil.resolve_name(name)(*arguments)
