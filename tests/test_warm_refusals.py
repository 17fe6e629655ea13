"""What the cache refuses is counted with its reason, by the servers' own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from fragcache import CacheUnavailable, Fragment, fragment, publish_context
from fragcache.backends.embedded import EmbeddedCache
from fragcache.events import Event
from fragcache.warming import Report, Status
from tests.fixtures import any_cache, happened
from tests.warming import counted, warm

REDIS = "fragcache.backends.redis.RedisCache"
MEMCACHED = "fragcache.backends.memcached.MemcachedCache"


@pytest.fixture
def page(declare: Any, templates: Any) -> Fragment:
    templates({"page.html": "{{ text|safe }}"})

    @declare("page.html", name="library.page", items=[1, 2, 3], version=lambda n: 1)
    def page(n: int) -> dict[str, Any]:
        return {"text": "long" * (500_000 if n == 2 else 1)}

    fragment: Fragment = page
    return fragment


@pytest.fixture
def keep_in(settings: Any) -> Callable[..., None]:
    def keep(backend: str, location: str, **options: Any) -> None:
        cache = {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}
        settings.CACHES = {**settings.CACHES, "special": cache}
        settings.FRAGCACHE = {"CACHE_ALIAS": "special", "LOCAL_MAX_BYTES": 0}

    return keep


def refusals(report: Report) -> dict[str, int]:
    assert report.status is Status.FAILED
    found = dict(report.refusals["library.page"])
    assert report.totals.refused == sum(found.values())
    return found


def test_larger_than_the_alias_takes(
    keep_in: Any, page: Fragment, start_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    keep_in(MEMCACHED, start_server("memcached").address)
    report = warm(page)

    assert refusals(report) == {"larger than 1,047,552 bytes": 1}
    assert counted(report) == {"planned": 3, "rendered": 3, "stored": 2, "refused": 1}
    assert report.problem == (
        "0 failed and 1 were refused by the cache, of 3; the log names them. Refused 1 of "
        "library.page: larger than 1,047,552 bytes."
    )
    assert (
        "library.page: the cache alias 'special' refused 1: larger than 1,047,552 bytes."
        in caplog.text
    )
    assert happened(Event.REFUSED) == 1


def test_larger_than_memcached_takes(keep_in: Any, page: Fragment, start_server: Any) -> None:
    keep_in(MEMCACHED, start_server("memcached").address, max_value_bytes=2**22)
    assert refusals(warm(page)) == {"object too large for cache": 1}


def test_redis_out_of_memory(keep_in: Any, page: Fragment, start_server: Any) -> None:
    server = start_server("redis")
    keep_in(REDIS, server.address)
    warm(page)
    client = redis.Redis.from_url(server.address)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1mb")
    client.close()
    page.revision = 2

    found = refusals(warm(page, force=True))
    assert list(found.values()) == [3]
    assert "maxmemory" in next(iter(found))


def test_redis_that_became_a_replica(keep_in: Any, page: Fragment, start_server: Any) -> None:
    master, server = start_server("redis"), start_server("redis")
    keep_in(REDIS, server.address)
    warm(page)
    client = redis.Redis.from_url(server.address)
    # Of a master that does not answer it keeps what it has.
    master.stop()
    client.replicaof("127.0.0.1", master.port)
    client.close()

    found = refusals(warm(page, force=True))
    assert list(found.values()) == [3]
    assert "read only replica" in next(iter(found))


class Forgets(EmbeddedCache):
    """Confirms every entry, and keeps none: as a server that evicts what it was just given."""

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        return {}


def test_what_is_confirmed_and_not_kept(use_backend: Any, page: Fragment) -> None:
    use_backend(Forgets)
    report = warm(page)

    assert refusals(report) == {"it was confirmed, and is not there when it is read back": 1}
    assert counted(report) == {"planned": 3, "rendered": 3, "stored": 2, "refused": 1}


class RefusesManifests(EmbeddedCache):
    """Takes everything but what targets are told of fragments."""

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        refused = {key: "no room" for key in data if key.endswith("!manifest")}
        taken = {key: value for key, value in data.items() if key not in refused}
        return refused | super().store_many(taken, timeout, version)


def test_what_targets_are_told_of_a_fragment(
    use_backend: Any, page: Fragment, caplog: pytest.LogCaptureFixture
) -> None:
    use_backend(RefusesManifests)
    report = warm(page)

    assert report.status is Status.FAILED
    assert counted(report) == {"planned": 3, "rendered": 3, "stored": 3, "failed": 1}
    message = "alias 'special' refused what targets are told of library.page: no room."
    assert f"library.page: {message}" in caplog.text


def test_what_targets_are_told_of_a_context(use_backend: Any) -> None:
    use_backend(RefusesManifests)

    @fragment(name="library.plain", publish="context")
    def plain() -> dict[str, Any]:
        return {}

    with pytest.raises(CacheUnavailable, match=r"refused what targets are told of library\.plain"):
        publish_context(plain)


@any_cache
def test_what_may_not_be_kept(cache_alias: str, declare: Any, templates: Any) -> None:
    """It shows a fragment that varies on an axis of which it knows nothing."""
    templates(
        {
            "inner.html": "",
            "outer.html": "{% load fragcache %}{% fragment 'library.inner' %}",
        }
    )

    @declare("inner.html", name="library.inner", version=lambda: 1)
    def inner() -> dict[str, Any]:
        return {}

    @declare("outer.html", name="library.page", vary_on=["-language"], version=lambda: 1)
    def outer() -> dict[str, Any]:
        return {}

    assert refusals(warm(outer)) == {"it may not be kept, for what the log says": 1}
    assert happened(Event.NOT_STORED, outer.name) == 1


@any_cache
def test_a_sample_is_read_back_once_a_batch(cache_alias: str, page: Fragment, trips: Any) -> None:
    warm(page, batch_size=2)
    read = [trip.keys for trip in trips.of("get_many") if len(trip.keys) == 1]
    assert len([keys for keys in read if "@" not in keys[0] and "#" not in keys[0]]) == 2
