"""Fresh processes: one for each measurement of memory, and for each database."""

from __future__ import annotations

import multiprocessing
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def fresh(name: str, *arguments: Any) -> Any:
    """Return what a function returns in a new process with Django set up.

    ``name`` is "package.module:function": this process has no Django, whose settings differ from
    call to call.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_called, name, arguments).result()


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    import django

    django.setup()
    return pkgutil.resolve_name(name)(*arguments)
