"""The file of the embedded cache: its connections, its bounds, and its end when it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.core.files import locks

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,  -- grows with every write: the order of culling
    key TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL,
    expires REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires);
"""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: Culling leaves this part of the bounds, so that it is not needed again at once.
_KEPT: Final = 0.9
#: Entries are counted once in so many writes.
_COUNTED_EVERY: Final = 1000

#: Connections that a fork brought along. SQLite forbids a child even to close them.
_inherited: Final[list[sqlite3.Connection]] = []


@dataclass(slots=True)
class _Open:
    """A connection, the process that opened it, and the file that it found at the path."""

    connection: sqlite3.Connection
    pid: int
    inode: int


class SQLiteFile:
    """Connections to one file, each in use by one thread of one process at a time.

    ``timeout`` is how many seconds a writer waits for another one.
    """

    def __init__(self, path: str, *, max_bytes: int, max_entries: int, timeout: float) -> None:
        self.path = os.path.abspath(path)
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self._timeout = timeout
        self._idle: list[_Open] = []
        _files.add(self)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection; a damaged file is removed, and read again as an empty one."""
        opened = self._borrow()
        try:
            yield opened.connection
        except sqlite3.DatabaseError as error:
            opened.connection.close()
            if _is_damaged(error):
                self._remove(opened.inode)
            raise
        self._idle.append(opened)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction, which an exception rolls back."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            _dispose(self._idle.pop())
