"""Transactions: what this thread would render may not be committed, and what awaits its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


def is_open() -> bool:
    """Whether this thread is inside a transaction of the site's code on any database.

    The atomic blocks that TestCase wraps around each test do not count: tests behave like
    production.
    """
    return _in_transaction() is not None


def on_commit(names: Iterable[Any], call: Callable[[], None]) -> None:
    """Call ``call`` when this thread's transaction commits, at once where none is open.

    Until then ``names`` are ``awaited()`` by this thread, which sees its own change at once.
    """
    connection = _in_transaction()
    if connection is None:
        call()
    else:
        transaction.on_commit(_Awaited(names, call), using=connection.alias)


def awaited() -> frozenset[Any]:
    """Return the names that are to be replaced when this thread's transactions commit."""
    return frozenset(
        name
        for connection in connections.all(initialized_only=True)
        for _savepoints, call, *_ in connection.run_on_commit  # a rollback takes its own out
        if isinstance(call, _Awaited)
        for name in call.names
    )


class _Awaited:
    """What a commit will call, and the names that it will replace."""

    def __init__(self, names: Iterable[Any], call: Callable[[], None]) -> None:
        self.names = frozenset(names)
        self._call = call

    def __call__(self) -> None:
        self._call()
        self.names = frozenset()  # captureOnCommitCallbacks() leaves it on Django's list


def _in_transaction() -> BaseDatabaseWrapper | None:
    for connection in connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            return connection
        if _is_managed_by_hand(connection):
            return connection
    return None


def _is_managed_by_hand(connection: BaseDatabaseWrapper) -> bool:
    """Whether ``set_autocommit(False)`` or the setting AUTOCOMMIT leaves commits to the site."""
    is_connected = connection.connection is not None
    return is_connected and not connection.in_atomic_block and not connection.autocommit
