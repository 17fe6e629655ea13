"""The file of the embedded cache: its connections, its bounds, and its end when it is damaged."""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.core.files import locks

from fragcache import deadline

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
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
_OPEN_POLL: Final = 0.01


@dataclass(slots=True)
class _Open:
    """A connection, the process that opened it, and the file that it found at the path."""

    connection: sqlite3.Connection
    pid: int
    inode: int


class SQLiteFile:
    """Connections to one file, each used by one thread of one process at a time.

    ``timeout`` is how many seconds a writer waits for the others; less where a deadline is sooner.
    """

    def __init__(self, path: Path, *, max_bytes: int, max_entries: int, timeout: float) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self._timeout = timeout
        self._idle: list[_Open] = []
        _files.append(self)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection.

        Raises:
            sqlite3.OperationalError: the file cannot be opened; names it.
            sqlite3.DatabaseError: the file turned out to be damaged; the next call begins anew.
        """
        opened = self._borrow()
        try:
            yield opened.connection
        except BaseException as error:
            opened.connection.close()
            if _is_damage(error):
                self._remove(opened.inode)
            raise
        self._idle.append(opened)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction, which an exception rolls back."""
        with self.reading() as connection:
            connection.execute(f"PRAGMA busy_timeout = {math.ceil(1000 * self._patience())}")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def cull(self, connection: sqlite3.Connection, *, written: int) -> None:
        """Keep the bounds after so many writes: what expired goes first, then the oldest."""
        (newest,) = connection.execute("SELECT max(id) FROM entries").fetchone()
        is_due = (newest or 0) % min(_COUNTED_EVERY, self.max_entries // 10 + 1) < written
        is_full = self.used_bytes(connection) > self.max_bytes
        if not (is_due or is_full):
            return
        connection.execute("DELETE FROM entries WHERE expires <= ?", (time.time(),))
        if (count := _count(connection)) > self.max_entries:
            _delete_oldest(connection, count - int(self.max_entries * _KEPT))
        aim = self.max_bytes * _KEPT
        while is_full and (used := self.used_bytes(connection)) > aim:
            count = _count(connection)
            if not count:
                return
            _delete_oldest(connection, math.ceil(count * (1 - aim / used)))

    def used_bytes(self, connection: sqlite3.Connection) -> int:
        """Return the bytes of the pages in use; free ones are used again before the file grows."""
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with contextlib.suppress(IndexError):
            while True:
                _dispose(self._idle.pop())

    def _borrow(self) -> _Open:
        while True:
            try:
                opened = self._idle.pop()
            except IndexError:
                return self._open()
            if opened.pid == os.getpid() and opened.inode == self._inode():
                return opened
            _dispose(opened)

    def _open(self) -> _Open:
        until = time.monotonic() + self._patience()
        while True:
            connection, inode = self._connect()
            try:
                connection.executescript(_SCHEMA)
            except sqlite3.DatabaseError as error:
                connection.close()
                if _is_damage(error):
                    self._remove(inode)
                # Of two processes that create the file SQLite tells one without waiting.
                elif not _is_busy(error) or time.monotonic() > until:
                    raise self._cannot_be_opened(error) from error
                time.sleep(_OPEN_POLL)
            else:
                return _Open(connection, os.getpid(), inode)

    def _connect(self) -> tuple[sqlite3.Connection, int]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=self._patience(), isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise self._cannot_be_opened(error) from error
        return connection, self._inode()

    def _patience(self) -> float:
        found = deadline.current()
        return self._timeout if found is None else min(self._timeout, found.left)

    def _cannot_be_opened(self, error: Exception) -> sqlite3.OperationalError:
        return sqlite3.OperationalError(
            f"The embedded cache {str(self.path)!r} cannot be opened: {error}. Its directory must "
            "be writable by this process, and on a local disk."
        )

    def _inode(self) -> int:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return 0

    def _remove(self, inode: int) -> None:
        """Remove the damaged file, unless another process has done it already."""
        with Path(f"{self.path}.lock").open("w") as lock:
            locks.lock(lock, locks.LOCK_EX)
            if self._inode() == inode:
                # The file itself goes last: its successor must not find an old log.
                for suffix in ("-wal", "-shm", ""):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)


@functools.cache
def shared_file(path: Path, *, max_bytes: int, max_entries: int, timeout: float) -> SQLiteFile:
    """Return the file at ``path`` for all threads of this process."""
    return SQLiteFile(path, max_bytes=max_bytes, max_entries=max_entries, timeout=timeout)


_files: Final[list[SQLiteFile]] = []
#: Connections that a fork brought along: SQLite forbids the child even to close them.
_inherited: Final[list[sqlite3.Connection]] = []


def _close_idle() -> None:
    for file in _files:
        file.close()


def _dispose(opened: _Open) -> None:
    if opened.pid == os.getpid():
        opened.connection.close()
    else:
        _inherited.append(opened.connection)


def _is_damage(error: BaseException) -> bool:
    return _code(error) in _DAMAGED


def _is_busy(error: BaseException) -> bool:
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _code(error: BaseException) -> int | None:
    # The low byte; the rest says where SQLite noticed.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def _delete_oldest(connection: sqlite3.Connection, count: int) -> None:
    connection.execute(
        "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT ?)", (count,)
    )


# A child that inherits no connection cannot misuse one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle)
atexit.register(_close_idle)
