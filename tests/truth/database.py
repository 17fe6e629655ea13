"""The database: connections of simulated processes, and one that sees what is committed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.truth.clock import Clock
from tests.truth.site import ARTIST, BAND, MUSICIANS, SESSIONS, Cell, primary_key

#: What Django and fragcache ask PostgreSQL for its clock with.
CLOCKS = ("CLOCK_TIMESTAMP()", "STATEMENT_TIMESTAMP()")
_MICROSECONDS = "(extract(epoch from {}) * 1000000)::bigint"
_COMMITTED = " UNION ALL ".join(
    f"SELECT '{kind}', id::text, {value}, {_MICROSECONDS.format(mtime)}, {digest} FROM {table}"
    for kind, table, value, mtime, digest in (
        ("band", "studio_band", "name", "updated_at", "0"),
        ("session", "studio_session", "title", "updated_at", "0"),
        ("artist", "library_artist", "name", "updated_at", "0"),
        (
            *("musician", "studio_musician", "name", "mtime"),
            # What docs/decisions/0014 says that a row adds to the version of its collection.
            "hashfloat8extended(date_part('epoch', mtime), hashtextextended(id::text, 0))",
        ),
    )
)


class Row(NamedTuple):
    """A row that is committed."""

    value: str
    #: Microseconds since 1970.
    mtime: int
    #: What it adds to the version of its collection.
    digest: int


class Database:
    """Connections that are taken for an operation or a transaction, and given back."""

    def __init__(self, clock: Clock, before_query: Callable[[str], None]) -> None:
        self._clock = clock
        self._before_query = before_query
        self._site: BaseDatabaseWrapper = connections["default"]
        self._free: list[BaseDatabaseWrapper] = []
        self._all: list[BaseDatabaseWrapper] = []
        self._observer = self._new()
        #: Microseconds by which its clock is ahead.
        self.ahead = 0

    def take(self) -> BaseDatabaseWrapper:
        """Return a connection that nobody uses."""
        if self._free:
            return self._free.pop()
        connection = self._new()
        connection.execute_wrappers.append(self._by_its_clock)
        with connection.cursor() as cursor:  # who waits for a lock would wait for ever
            cursor.execute("SET lock_timeout = '2s'")
        return connection

    def give_back(self, connection: BaseDatabaseWrapper) -> None:
        self._free.append(connection)

    @contextmanager
    def used(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Let ``connection`` be the one that Django knows."""
        former = connections["default"]
        connections["default"] = connection
        try:
            yield
        finally:
            connections["default"] = former

    def committed(self) -> dict[Cell, Row]:
        """Return what every transaction that begins now would see."""
        with self._observer.cursor() as cursor:
            cursor.execute(_COMMITTED)
            return {
                (kind, uuid.UUID(pk).int if kind == "musician" else int(pk)): Row(*row)
                for kind, pk, *row in cursor.fetchall()
            }

    def fill(self) -> None:
        """Put the rows there that a world begins with."""
        mtime = f"to_timestamp({self._clock.now}::numeric / 1000000)"
        musicians = ",".join(
            f"('{primary_key(cell)}', 'm{cell[1]}', {mtime})" for cell in MUSICIANS[:2]
        )
        sessions = ",".join(f"({n}, 's{n}', '{n}', 0, {BAND[1]}, {mtime})" for _kind, n in SESSIONS)
        with self._observer.cursor() as cursor:
            cursor.execute(
                "SET lock_timeout = '2s'; DELETE FROM studio_session; DELETE FROM studio_band;"
                "DELETE FROM studio_musician; DELETE FROM library_artist;"
                f"INSERT INTO studio_band (id, name, updated_at) VALUES (1, 'b1', {mtime});"
                "INSERT INTO studio_session (id, title, slug, plays, band_id, updated_at) "
                f"VALUES {sessions};"
                f"INSERT INTO studio_musician (id, name, mtime) VALUES {musicians};"
                "INSERT INTO library_artist (id, name, updated_at) "
                f"VALUES ({ARTIST[1]}, 'a1', {mtime});"
            )

    def close(self) -> None:
        connections["default"] = self._site
        for connection in self._all:
            connection.close()

    def _new(self) -> BaseDatabaseWrapper:
        connection = self._site.copy()
        self._all.append(connection)
        return connection

    def _by_its_clock(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        self._before_query(sql)
        for asked in CLOCKS:
            if asked in sql:
                now = self._clock.tick() + self.ahead
                sql = sql.replace(asked, f"to_timestamp({now}::numeric / 1000000)")
        return execute(sql, params, many, context)
