"""A raw cache in one SQLite file, shared by the processes of one machine; needs no server.

    CACHES = {"fragments": {"BACKEND": "fragcache.backends.embedded.EmbeddedCache",
                            "LOCATION": "/var/cache/mysite/fragments.sqlite3",
                            "OPTIONS": {"MAX_BYTES": 256 * 2**20, "MAX_ENTRIES": 1_000_000}}}

It is ours, since Django's DatabaseCache and FileBasedCache unpickle and keep 300 entries, and
``diskcache``, the nearest relative, pickles by default and has had no release since 2023. The file
must lie on a local disk: SQLite's write-ahead log does not work over a network file system.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

from fragcache import local, token_memory
from fragcache.backends import raw
from fragcache.backends.base import Advance, BulkBackend, ServerStats, advances_over
from fragcache.backends.sqlite_file import shared_file

#: Keys in one query: far below SQLite's limit of 32,766 parameters.
_SLICE: Final = 500
#: A value may fill this part of the file.
_LARGEST_SHARE: Final = 8

_READ: Final = "SELECT key, value FROM entries WHERE expires > ? AND key IN ({})"
_WRITE: Final = "INSERT OR REPLACE INTO entries (key, value, expires) VALUES (?, ?, ?)"
_TOUCH: Final = "UPDATE entries SET expires = ? WHERE key = ? AND expires > ?"
_COUNT: Final = "UPDATE entries SET value = ? WHERE key = ?"
_DELETE: Final = "DELETE FROM entries WHERE key = ?"
_FIGURES: Final = "SELECT count(*), count(*) FILTER (WHERE expires <= ?) FROM entries"


class EmbeddedCache(BulkBackend):
    """A cache in the SQLite file ``LOCATION``, bounded by ``MAX_BYTES`` and ``MAX_ENTRIES``.

    What has expired goes first, then what was written longest ago; reading never writes. A file
    that is deleted or damaged is begun anew.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (sqlite3.Error, OSError)

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        options = {"MAX_ENTRIES": 1_000_000, "MAX_BYTES": 256 * 2**20, "TIMEOUT": 2.0}
        options |= params.get("OPTIONS") or {}
        super().__init__({**params, "OPTIONS": options})
        if not location:
            raise ImproperlyConfigured(
                "EmbeddedCache needs a LOCATION in CACHES: the path of its file, such as "
                "'/var/cache/mysite/fragments.sqlite3'."
            )
        self._file = shared_file(
            Path(location).absolute(),
            max_bytes=int(options["MAX_BYTES"]),
            max_entries=self._max_entries,
            timeout=float(options["TIMEOUT"]),
        )
        self.max_value_bytes = self._file.max_bytes // _LARGEST_SHARE

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = list(keys)
        if not names:
            return {}
        asked = dict(zip(self.make_keys(names, version), names, strict=True))
        with self._file.reading() as connection:
            found = _read(connection, asked)
        values = ((asked[key], raw.loads(value)) for key, value in found.items())
        return {key: value for key, value in values if value is not raw.MISSING}

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        if not stored:
            return {}
        refused = self.too_large(stored)
        physical = dict(zip(stored, self.make_keys(stored, version), strict=True))
        gone = [physical.pop(key) for key in refused]
        with self._file.writing() as connection:
            connection.executemany(_DELETE, [(key,) for key in gone])
            self._write(connection, {physical[key]: stored[key] for key in physical}, timeout)
        return refused

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        if not stored:
            return []
        physical = dict(zip(stored, self.make_keys(stored, version), strict=True))
        with self._file.writing() as connection:
            there = _read(connection, physical.values())
            refused = set(self.too_large(stored))
            refused.update(key for key in stored if physical[key] in there)
            added = {physical[key]: value for key, value in stored.items() if key not in refused}
            self._write(connection, added, timeout)
        return [key for key in stored if key in refused]

    def touch_many(
        self,
        keys: Iterable[str],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        names = list(keys)
        if not names:
            return []
        expires, now = self._expires(timeout), time.time()
        with self._file.writing() as connection:
            return [
                name
                for name, key in zip(names, self.make_keys(names, version), strict=True)
                if not connection.execute(_TOUCH, (expires, key, now)).rowcount
            ]

    def advance_many(
        self,
        values: Mapping[str, Advance],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        if not values:
            return []
        physical = dict(zip(values, self.make_keys(values, version), strict=True))
        with self._file.writing() as connection:
            there = _read(connection, physical.values())
            goes = advances_over(values, lambda key: there.get(physical[key]))
            goes.difference_update(self.too_large({key: values[key].value for key in goes}))
            advanced = {physical[key]: raw.dumps(values[key].value) for key in goes}
            self._write(connection, advanced, timeout)
        return [key for key in values if key not in goes]

    def delete(self, key: str, version: int | None = None) -> bool:
        with self._file.writing() as connection:
            physical = self.make_key(key, version=version)
            return bool(connection.execute(_DELETE, (physical,)).rowcount)

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        physical = self.make_keys(keys, version)
        if physical:
            with self._file.writing() as connection:
                connection.executemany(_DELETE, [(key,) for key in physical])

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        physical = self.make_key(key, version=version)
        with self._file.writing() as connection:
            there = _read(connection, [physical])
            if physical in there:
                value: int = raw.loads(there[physical]) + delta
                connection.execute(_COUNT, (raw.dumps(value), physical))
                return value
        raise ValueError(f"Key {key!r} not found")

    def clear(self) -> None:
        with self._file.writing() as connection:
            connection.execute("DELETE FROM entries")
        local.clear_all()
        token_memory.forget_all()

    def server_stats(self) -> list[ServerStats]:
        """Return the entries and bytes in the file; an entry with an error if it cannot be read."""
        try:
            with self._file.reading() as connection:
                entries, expired = connection.execute(_FIGURES, (time.time(),)).fetchone()
                used = self._file.used_bytes(connection)
        except self.errors as error:
            return [ServerStats(address=str(self._file.path), error=str(error))]
        figures = {
            "entries": entries,
            "expired_entries": expired,
            "bytes": used,
            "limit_maxbytes": self._file.max_bytes,
            "limit_maxentries": self._file.max_entries,
            "sqlite_version": sqlite3.sqlite_version,
        }
        return [ServerStats(address=str(self._file.path), figures=figures)]

    def _write(
        self, connection: sqlite3.Connection, values: Mapping[str, bytes], timeout: float | None
    ) -> None:
        expires = self._expires(timeout)
        rows = [(key, value, expires) for key, value in values.items()]
        connection.executemany(_WRITE, rows)
        self._file.cull(connection, written=len(rows))

    def _expires(self, timeout: float | None) -> float:
        seconds = self.lifetime(timeout)
        return float("inf") if seconds is None else time.time() + seconds


def _read(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, bytes]:
    now = time.time()
    found: dict[str, bytes] = {}
    for part in _slices(keys):
        query = _READ.format(",".join("?" * len(part)))
        found.update(connection.execute(query, (now, *part)))
    return found


def _slices(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while part := list(islice(rest, _SLICE)):
        yield part
