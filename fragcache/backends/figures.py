"""Figures: what servers of any kind say of themselves, under one name each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fragcache.backends.base import ServerStats

#: By what names the figure is known to Redis and Valkey, and to Memcached and the embedded cache.
_NAMES: Final = {
    "used": ("used_memory", "bytes"),
    "limit": ("maxmemory", "limit_maxbytes"),
    "evictions": ("evicted_keys", "evictions"),
    "connections": ("connected_clients", "curr_connections"),
    "uptime": ("uptime_in_seconds", "uptime"),
    "hits": ("keyspace_hits", "get_hits"),
    "misses": ("keyspace_misses", "get_misses"),
}
#: The first that a server has says what it is: Valkey tells a version of Redis as well.
_KINDS: Final = {
    "valkey_version": "Valkey",
    "redis_version": "Redis",
    "sqlite_version": "SQLite",
    "version": "Memcached",
}
#: What INFO of Redis calls it, in today's words.
_ROLES: Final = {"master": "primary", "slave": "replica"}


class Figures(NamedTuple):
    """What one server says; None is what it does not tell."""

    #: "Redis 7.0.15"
    version: str = ""
    #: "primary", "replica" or "sentinel", of those that have one.
    role: str = ""
    #: In bytes.
    used: int | None = None
    #: In bytes; 0 is none.
    limit: int | None = None
    evictions: int | None = None
    connections: int | None = None
    #: In seconds.
    uptime: int | None = None
    hits: int | None = None
    misses: int | None = None

    @property
    def hit_ratio(self) -> float | None:
        """The share of lookups by all its clients that found something, since it began."""
        if self.hits is None or self.misses is None:
            return None
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else None


def figures_of(stats: ServerStats) -> Figures:
    """Return the figures of a server; empty ones where it does not answer."""
    known = {name: _text(figure) for name, figure in stats.figures.items()}
    numbers = {field: _number(known, names) for field, names in _NAMES.items()}
    return Figures(version=_version(known), role=_role(known), **numbers)


def _version(known: Mapping[str, str]) -> str:
    return next((f"{kind} {known[name]}" for name, kind in _KINDS.items() if name in known), "")


def _role(known: Mapping[str, str]) -> str:
    if known.get("redis_mode") == "sentinel":
        return "sentinel"
    role = known.get("role", "")
    return _ROLES.get(role, role)


def _number(known: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    found = next((known[name] for name in names if name in known), "")
    return int(found) if found.isdigit() else None


def _text(figure: Any) -> str:
    return figure.decode(errors="replace") if isinstance(figure, bytes) else str(figure)
