"""Databases: from which ones something was read, and which of them may lag behind.

A version promises that the data which is read after it is not older. A replica keeps that promise
for versions that were read from itself, and for no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final

from django.apps import apps
from django.db import connections, router

#: How often a router is asked where it reads a model: it may draw lots.
_ASKED: Final = 5

_used: ContextVar[set[str] | None] = ContextVar("fragcache_databases", default=None)


@contextmanager
def recorded() -> Iterator[set[str]]:
    """Record the aliases of the databases that this thread asks; an outer recording as well."""
    outer, used = _used.get(), set[str]()
    reset = _used.set(used)
    try:
        yield used
    finally:
        _used.reset(reset)
        if outer is not None:
            outer |= used


def note(alias: str) -> None:
    """Tell the recording, if there is one, that a database is asked."""
    if (used := _used.get()) is not None:
        used.add(alias)


def behind(used: Set[str], versions: Set[str]) -> list[str]:
    """Return which of the databases ``used`` may be older than versions read from ``versions``.

    Data that is newer than its version does no harm, so these are replicas alone.
    """
    if not versions:
        return []
    return sorted(alias for alias in used if versions != {alias} and _is_replica(alias))


@cache
def only(alias: str | None) -> frozenset[str]:
    """Return the set of one database, or of none."""
    return frozenset() if alias is None else frozenset({alias})


def _is_replica(alias: str) -> bool:
    """Whether something is read there that is written elsewhere."""
    if connections[alias].settings_dict.get("TEST", {}).get("MIRROR"):
        return True
    return bool(router.routers) and any(
        router.db_for_write(model) != alias
        and any(router.db_for_read(model) == alias for _ in range(_ASKED))
        for model in apps.get_models()
    )
