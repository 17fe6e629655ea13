"""Transactions: what this thread would render may not be committed, and what awaits its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asgiref.local import Local
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

_local = Local()


def is_open() -> bool:
    """Whether this thread is inside a transaction of the site's code on any database.

    The atomic blocks that TestCase wraps around each test do not count: tests behave like
    production.
    """
    return _outermost() is not None


def on_commit(names: Iterable[Any], call: Callable[[], None]) -> None:
    """Call ``call`` when this thread's transaction commits, at once where none is open.

    Until then ``awaits(names)`` holds for this thread: it sees its own change at once.
    """
    found = _outermost()
    if found is None:
        call()
        return
    connection, block = found
    _local.awaited = [*_awaited(block), *((block, name) for name in names)]
    transaction.on_commit(call, using=connection.alias)


def awaits(names: Iterable[Any]) -> bool:
    """Whether one of ``names`` is to be replaced when this thread's transaction commits."""
    if not getattr(_local, "awaited", None):
        return False
    found = _outermost()
    awaited = {name for _block, name in _awaited(found[1])} if found else set()
    return not awaited.isdisjoint(names)


def _outermost() -> tuple[BaseDatabaseWrapper, Any] | None:
    for connection in connections.all(initialized_only=True):
        for block in connection.atomic_blocks:
            if not getattr(block, "_from_testcase", False):
                return connection, block
    return None


def _awaited(block: Any) -> list[tuple[Any, Any]]:
    # A transaction that was rolled back tells nobody; its block is gone, and with it its names.
    return [pair for pair in getattr(_local, "awaited", []) if pair[0] is block]
