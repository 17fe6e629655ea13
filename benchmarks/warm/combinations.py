"""Which database and which cache are measured together, and the servers that this takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests import processes


class LargeMemcached(processes.Memcached):
    """Room for the largest size: what is evicted would be rendered again."""

    megabytes = 6_000


KINDS = {kind.name: kind for kind in (processes.Redis, LargeMemcached, processes.PostgreSQL)}


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A cache and the database beside it."""

    #: The cache's name, by which tables and bounds know the combination.
    name: str
    label: str
    #: What has to run.
    servers: Collection[str]


COMBINATIONS = {
    found.name: found
    for found in (
        Combination(name="redis", label="PostgreSQL and Redis", servers=("postgresql", "redis")),
        Combination(name="memcached", label="SQLite and Memcached", servers=("memcached",)),
    )
}
