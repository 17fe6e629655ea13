"""Transactions: what this thread would render may not be committed, and what awaits its commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial
from typing import Any, ClassVar, Final
from weakref import WeakSet, ref

from asgiref.local import Local
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from fragcache import databases, page

#: Statements that leave the data as it is; WITH may lead to a write.
_READING: Final = re.compile(
    r"[\s(]*(SELECT|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|SET|SHOW|EXPLAIN|DECLARE|FETCH)\b",
    re.IGNORECASE,
)
_ROLLING_BACK: Final = re.compile(r"\s*ROLLBACK\b", re.IGNORECASE)
#: By alias, the outermost atomic block that has written; per thread, as connections are.
_written = Local(thread_critical=True)
#: By alias, the names that await a commit; per thread as well.
_gathered = Local(thread_critical=True)


def is_open() -> bool:
    """Whether this thread is inside a transaction of the site's code on any database.

    The atomic blocks that TestCase wraps around each test do not count: tests behave like
    production.
    """
    return bool(_in_transactions())


def has_written() -> bool:
    """Whether a transaction of the site's code that this thread is in may have written.

    A statement writes unless it is a plain SELECT, or one that Django makes of ``atomic``.
    """
    return any(
        block is not None
        and (_written_by(connection) == (block, page.current()) or not _is_watched(connection))
        for connection in connections.all(initialized_only=True)
        for block in [_outermost(connection)]
    ) or any(map(_is_managed_by_hand, connections.all(initialized_only=True)))


def is_committed(current: page.Page) -> bool:
    """Whether what this thread reads of the database is committed, and not older than the page."""
    if current.has_rolled_back:
        return False
    if not is_open():
        return True
    # A transaction's snapshot is as old as the transaction, which began within the request.
    return current.is_request and not has_written()


def on_commit(names: Iterable[Any], call: Callable[[], None]) -> None:
    """Call ``call`` when this thread's transaction commits, at once where none is open.

    Of transactions on several databases each one calls it, since any of them may hold what has
    changed, and any may be rolled back. Until then ``names`` are ``awaited()`` by this thread,
    which sees its own change at once.
    """
    names, within = frozenset(names), _in_transactions()
    # Where commits are left to the site, Django refuses to call anything at them.
    blocks = [connection for connection in within if not _is_managed_by_hand(connection)]
    for connection in blocks or within:
        transaction.on_commit(_Awaited(names, call), using=connection.alias)
    if not within:
        call()


def awaited() -> Set[Any]:
    """Return the names that are to be replaced when this thread's transactions commit.

    It is to be looked at, and not kept.
    """
    if not _Awaited.alive:  # optimisation: pages ask for it all the time
        return frozenset()
    found = [
        names
        for connection in connections.all(initialized_only=True)
        if connection.run_on_commit and (names := _names_awaited(connection))
    ]
    return found[0] if len(found) == 1 else frozenset[Any]().union(*found)


class _Awaited:
    """What a commit will call, and the names that it will replace."""

    #: Those of all threads.
    alive: ClassVar[WeakSet[_Awaited]] = WeakSet()

    def __init__(self, names: Iterable[Any], call: Callable[[], None]) -> None:
        self.names = frozenset(names)
        self._call = call
        self.alive.add(self)

    def __call__(self) -> None:
        self._call()
        self.names = frozenset()  # captureOnCommitCallbacks() leaves it on Django's list
        _gathered.by_alias = {}


class _Gathered:
    """The names that a transaction awaits so far, of the callbacks that Django keeps in a list."""

    def __init__(self) -> None:
        self.names: set[Any] = set()
        self._last: Callable[[], _Awaited | None] = lambda: None
        self._place = -1

    def is_of(self, callbacks: Sequence[Any]) -> bool:
        """Whether it has a beginning of them: what a rollback takes out moves what follows."""
        return self._place < len(callbacks) and callbacks[self._place][1] is self._last()

    def gather(self, callbacks: Sequence[Any]) -> None:
        """Add what follows."""
        for place in range(self._place + 1, len(callbacks)):
            call = callbacks[place][1]
            if isinstance(call, _Awaited):
                self.names |= call.names
                # Weakly: whoever asks next may be another transaction.
                self._last, self._place = ref(call), place


def _names_awaited(connection: BaseDatabaseWrapper) -> Set[Any]:
    # Optimisation: one with thousands of invalidations is asked for them by each read that follows.
    by_alias: dict[str, _Gathered] = getattr(_gathered, "by_alias", {})
    callbacks = connection.run_on_commit
    known = by_alias.get(connection.alias)
    if known is None or not known.is_of(callbacks):
        known = _Gathered()
        _gathered.by_alias = {**by_alias, connection.alias: known}
    known.gather(callbacks)
    return known.names


def _in_transactions() -> list[BaseDatabaseWrapper]:
    return [
        connection
        for connection in connections.all(initialized_only=True)
        if _outermost(connection) is not None or _is_managed_by_hand(connection)
    ]


def _outermost(connection: BaseDatabaseWrapper) -> Any:
    """Return the atomic block of the site's code that decides over what it wrote."""
    blocks = connection.atomic_blocks
    return next((b for b in blocks if not getattr(b, "_from_testcase", False)), None)


def _written_by(connection: BaseDatabaseWrapper) -> Any:
    return getattr(_written, connection.alias, None)


def _watch(*, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    if not _is_watched(connection):
        # In front: Django's execute_wrapper() takes its own from the end of the list.
        connection.execute_wrappers.insert(0, _note_statement)
        # What ends the outermost block is no statement that a wrapper sees.
        rollback = partial(_rolled_back, connection, connection.rollback)
        connection.rollback = rollback  # type: ignore[method-assign]


def _is_watched(connection: BaseDatabaseWrapper) -> bool:
    return _note_statement in connection.execute_wrappers


def _note_statement(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    connection = context["connection"]
    databases.note(connection.alias)
    if connection.atomic_blocks and _ROLLING_BACK.match(str(sql)):
        _note_rollback(connection)
    elif connection.atomic_blocks and not _READING.match(str(sql)):
        # With the page, since a decorator enters one block for every call.
        setattr(_written, connection.alias, (_outermost(connection), page.current()))
    return execute(sql, params, many, context)


def _rolled_back(connection: BaseDatabaseWrapper, rollback: Callable[[], None]) -> None:
    _note_rollback(connection)
    rollback()


def _note_rollback(connection: BaseDatabaseWrapper) -> None:
    """Tell the page that has written what is rolled back."""
    current = page.active()
    written = _written_by(connection)
    if current is not None and written is not None and written[1] is current:
        current.has_rolled_back = True


def _is_managed_by_hand(connection: BaseDatabaseWrapper) -> bool:
    """Whether ``set_autocommit(False)`` or the setting AUTOCOMMIT leaves commits to the site."""
    is_connected = connection.connection is not None
    return is_connected and not connection.in_atomic_block and not connection.autocommit


connection_created.connect(_watch, dispatch_uid="fragcache.transactions")
