"""Redis behind three Sentinels: whom it asks, for how long, and what a failover costs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis.exceptions import RedisError

from fragcache import Fragment, deadline
from fragcache.backends.figures import figures_of
from fragcache.backends.redis import RedisCache
from fragcache.backends.redis_client import SentinelConnectionFactory
from fragcache.testing import BackendBehaviour
from tests.backends import freeze, new_cache
from tests.fleet_pages import FleetPages, check_failover, use_fleet
from tests.fleets import SERVICE, SentinelFleet, ask, fleet_of, until
from tests.processes import Server, free_port
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.server("redis")

BACKEND = "fragcache.backends.redis.RedisCache"
VALUES = {f"key:{number}": b"fc%d" % number for number in range(20)}


@pytest.fixture(scope="module")
def fleet() -> Iterator[SentinelFleet]:
    yield from fleet_of(SentinelFleet)


@pytest.fixture(autouse=True)
def whole(fleet: SentinelFleet) -> Iterator[None]:
    """Each test has the fleet whole, and a process that has not asked it before."""
    until(fleet.is_whole)
    yield
    for pool in SentinelConnectionFactory._own_pools.values():
        pool.disconnect()
    SentinelConnectionFactory._own_pools.clear()
    fleet.restore()


@pytest.fixture
def cache(fleet: SentinelFleet) -> RedisCache:
    return cache_at(fleet)


@pytest.fixture
def cache_alias(request: pytest.FixtureRequest, fleet: SentinelFleet, settings: Any) -> str:
    return use_fleet(request, settings, fleet.cache)


def cache_at(fleet: SentinelFleet, **options: Any) -> RedisCache:
    sentinels = fleet.cache["OPTIONS"]["SENTINELS"]
    location = fleet.cache["LOCATION"]
    cache = new_cache(BACKEND, location, **{"SENTINELS": sentinels, **options})
    assert isinstance(cache, RedisCache)
    return cache


def test_figures_are_those_of_the_primary_and_of_each_sentinel(
    fleet: SentinelFleet, cache: RedisCache
) -> None:
    fleet.sentinels[0].stop(signal.SIGKILL)
    stats = {found.address: found for found in cache.server_stats()}
    dead, *others = [f"127.0.0.1:{sentinel.port}" for sentinel in fleet.sentinels]
    assert stats.keys() == {SERVICE, dead, *others}
    assert "ConnectionError" in stats[dead].error
    roles = {address: figures_of(found).role for address, found in stats.items()}
    assert roles == {SERVICE: "primary", dead: "", **dict.fromkeys(others, "sentinel")}


def asked(server: Server) -> int:
    """Return how many commands of fragments a server has had."""
    stats = ask(server).info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("get", "mget"))


def does(call: Callable[[], object]) -> bool:
    try:
        call()
    except RedisError:
        return False
    return True


class TestBackend(BackendBehaviour):
    alias = "sentinel"

    @pytest.fixture(autouse=True)
    def sentinel(self, fleet: SentinelFleet, settings: Any) -> None:
        settings.CACHES = settings.CACHES | {"sentinel": fleet.cache}


class TestPages(FleetPages):
    def test_pages_outlive_a_failover(
        self, fleet: SentinelFleet, cache_alias: str, greeting: Fragment, renders: list[str]
    ) -> None:
        check_failover(fleet.primary, greeting, renders)


def test_everything_is_read_from_the_primary(fleet: SentinelFleet, cache: RedisCache) -> None:
    """A replica may not have heard of an invalidation yet."""
    cache.set_many(VALUES, 60)
    before = asked(fleet.primary), asked(fleet.replica)
    for _ in range(10):
        assert cache.get_many(list(VALUES)) == VALUES
        assert cache.get("key:1") == b"fc1"
    assert (asked(fleet.primary), asked(fleet.replica)) == (before[0] + 20, before[1])


def test_what_would_read_from_a_replica_is_refused_by_name(fleet: SentinelFleet) -> None:
    client = "django_redis.client.SentinelClient"
    with pytest.raises(ImproperlyConfigured, match=rf"OPTIONS\['CLIENT_CLASS'\] is '{client}'"):
        cache_at(fleet, CLIENT_CLASS=client)
    sentinels = fleet.cache["OPTIONS"]
    with pytest.raises(ImproperlyConfigured, match="read from the primary alone"):
        new_cache(BACKEND, f"redis://{SERVICE}/0?is_master=0", **sentinels)


def test_connections_keep_to_timeouts_and_deadlines(
    fleet: SentinelFleet, cache: RedisCache
) -> None:
    cache.set_many(VALUES, 60)
    freeze(fleet.primary)
    with Stopwatch() as usual, pytest.raises(cache.errors):
        cache.get_many(["key:1"])
    assert usual.elapsed > 0.4
    assert usual.seconds < 0.9
    with Stopwatch() as hurried, deadline.within(0.1), pytest.raises(cache.errors):
        cache.get_many(["key:1"])
    assert hurried.seconds < 0.4


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_one_sentinel_of_three_may_fail(fleet: SentinelFleet, way: str) -> None:
    first = fleet.sentinels[0]
    if way == "killed":
        first.stop(signal.SIGKILL)
    else:
        freeze(first)
    cache = cache_at(fleet, SOCKET_TIMEOUT=0.3)
    with Stopwatch() as watch:
        cache.set_many(VALUES, 60)
    assert watch.seconds < 0.6
    for pool in SentinelConnectionFactory._own_pools.values():
        pool.disconnect()
    with deadline.within(0.25):
        assert cache.get_many(list(VALUES)) == VALUES, "the one that answers is asked first"


def test_without_any_sentinel_it_fails_within_the_deadline() -> None:
    sentinels = [("127.0.0.1", free_port()) for _ in range(3)]
    cache = new_cache(BACKEND, f"redis://{SERVICE}/0", SENTINELS=sentinels)
    with Stopwatch() as watch, pytest.raises(cache.errors, match="No master found for 'fragments'"):
        cache.get_many(["key:1"])
    assert watch.seconds < 0.4


def test_a_former_primary_that_wakes_up_is_not_asked(
    fleet: SentinelFleet, cache: RedisCache
) -> None:
    former = fleet.primary
    cache.set_many(VALUES, 60)
    until(lambda: ask(former).wait(1, 1000) == 1)
    freeze(former)
    until(lambda: does(lambda: cache.set_many(dict.fromkeys(VALUES, b"fnew"), 60)))
    former.thaw()
    for _ in range(20):
        assert cache.get_many(list(VALUES)) == dict.fromkeys(VALUES, b"fnew")
        time.sleep(0.01)
