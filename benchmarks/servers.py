"""The servers that pages are kept on: started for the run, emptied, counted, read raw."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Protocol

from benchmarks.cores import apart
from tests import processes
from tests.servers import Servers

#: The variable that tells ``benchmarks.settings`` where each one is.
VARIABLES = {
    "redis": "FRAGCACHE_BENCHMARK_REDIS",
    "memcached": "FRAGCACHE_BENCHMARK_MEMCACHED",
    "postgresql": "FRAGCACHE_BENCHMARK_POSTGRESQL",
}
KINDS = {kind.name: kind for kind in (processes.Redis, processes.Memcached)}
NAMES = ("locmem", *KINDS)


class Stand(Protocol):
    """A server as the benchmarks use it, besides what the contenders do with it."""

    name: ClassVar[str]
    #: Aliases of ``settings.CACHES`` that the peers use on it.
    backends: ClassVar[tuple[str, ...]]

    def flush(self) -> None:
        """Forget everything."""

    def count(self) -> int:
        """Return the number of values that are stored."""

    def version(self) -> str:
        """Return the server's version."""

    def read(self, keys: list[str]) -> Sequence[bytes | None]:
        """Return what one raw multi-get finds, in the order of ``keys``."""

    def write(self, values: Mapping[str, bytes]) -> None:
        """Store values for an hour by one raw multi-set."""


class LocMem:
    """The memory of this process; raw it is a dict."""

    name = "locmem"
    backends = ("locmem",)

    def __init__(self) -> None:
        from django.core.cache import caches

        self._caches: list[Any] = [caches["locmem"], caches["fragcache-locmem"]]
        self._raw: dict[str, bytes] = {}

    def flush(self) -> None:
        for cache in self._caches:
            cache.clear()
        self._raw.clear()

    def count(self) -> int:
        return len(self._raw) + sum(len(cache._cache) for cache in self._caches)

    def version(self) -> str:
        return ""

    def read(self, keys: list[str]) -> Sequence[bytes | None]:
        return list(map(self._raw.get, keys))

    def write(self, values: Mapping[str, bytes]) -> None:
        self._raw.update(values)


class Redis:
    """redis-py's plain client, which parses with hiredis where that is installed."""

    name = "redis"
    backends = ("redis", "django-redis")

    def __init__(self) -> None:
        import redis

        self._client = redis.Redis.from_url(os.environ[VARIABLES[self.name]])

    def flush(self) -> None:
        self._client.flushdb()

    def count(self) -> int:
        return int(self._client.dbsize())

    def version(self) -> str:
        return str(self._client.info("server")["redis_version"])

    def read(self, keys: list[str]) -> Sequence[bytes | None]:
        return self._client.mget(keys)

    def write(self, values: Mapping[str, bytes]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, ex=3600)
        pipeline.execute()


class Memcached:
    """pymemcache's plain client, four times as fast as the HashClient that Django uses."""

    name = "memcached"
    backends = ("pymemcache",)

    def __init__(self) -> None:
        from pymemcache.client.base import Client

        self._client = Client(os.environ[VARIABLES[self.name]], no_delay=True)

    def flush(self) -> None:
        self._client.flush_all(noreply=False)

    def count(self) -> int:
        # What was flushed is counted until somebody asks for it; what was stored since is exact.
        return int(self._client.stats()[b"total_items"])

    def version(self) -> str:
        return self._client.version().decode()

    def read(self, keys: list[str]) -> Sequence[bytes | None]:
        found = self._client.get_many(keys)
        return list(found.values()) if len(found) == len(keys) else [None] * len(keys)

    def write(self, values: Mapping[str, bytes]) -> None:
        self._client.set_many(values, expire=3600, noreply=False)


STANDS: dict[str, type[Stand]] = {"locmem": LocMem, "redis": Redis, "memcached": Memcached}


@contextmanager
def running(
    names: Collection[str],
    kinds: Mapping[str, type[processes.Server]] = KINDS,
    placed: Callable[[], AbstractContextManager[None]] = apart,
) -> Iterator[dict[str, str]]:
    """Start servers of one's own; yield why those are missing that cannot be had.

    ``placed`` is entered while they start, and says on which cores.
    """
    wanted = [kind for name, kind in kinds.items() if name in names]
    variables = {kind.variable for kind in kinds.values()}
    # What the environment names belongs to somebody, and the benchmarks flush.
    environ = {name: value for name, value in os.environ.items() if name not in variables}
    servers = Servers(environ)
    try:
        with placed():
            servers.start(*wanted)
        missing = {}
        for kind in wanted:
            found = servers.found[kind.name]
            if isinstance(found, processes.Server):
                os.environ[VARIABLES[kind.name]] = found.address
            else:
                missing[kind.name] = getattr(found, "reason", "")
        yield missing
    finally:
        for kind in wanted:
            os.environ.pop(VARIABLES[kind.name], None)
        servers.stop()
