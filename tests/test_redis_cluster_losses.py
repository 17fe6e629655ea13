"""A Redis Cluster that loses nodes: what that costs pages, runs and their lock; failovers."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from fragcache import Fragment
from fragcache.backends import Advance
from fragcache.backends.redis_cluster import RedisClusterCache
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import lock_key
from fragcache.store import store
from fragcache.testing.advancing import sealed
from fragcache.warming.locks import Locked, WarmingLock, holder_of
from fragcache.warming.locks import cache as cache_lock
from tests.backends import freeze
from tests.fleet_pages import SharedPages, check_failover
from tests.fleets import ClusterFleet, ask, until, until_replicated
from tests.processes import Server
from tests.stopwatch import Stopwatch
from tests.test_redis_cluster import (  # noqa: F401 - fixtures
    ADVANCES,
    VALUES,
    cache,
    cache_alias,
    cache_at,
    fleet,
    keys_on,
    port_of,
    whole,
)

pytestmark = pytest.mark.server("redis")


class TestPages(SharedPages):
    @pytest.fixture
    def lose(self, fleet: ClusterFleet) -> Callable[[], None]:
        return lambda: fleet.lose(fleet.primaries[0])

    def test_pages_outlive_a_failover(
        self, fleet: ClusterFleet, cache_alias: str, greeting: Fragment, renders: list[str]
    ) -> None:
        check_failover(fleet.primaries[0], greeting, renders)


class TestLockOfARun:
    """``FRAGCACHE["LOCK"] = "cache"``."""

    @pytest.fixture
    def home(self, fleet: ClusterFleet, cache: RedisClusterCache, cache_alias: str) -> Server:
        """The node that keeps it."""
        port = port_of(cache, lock_key("warm"))
        return next(node for node in fleet.primaries if node.port == port)

    def test_cannot_be_had_while_its_node_is_lost(self, fleet: ClusterFleet, home: Server) -> None:
        fleet.lose(home)
        with pytest.raises(CacheUnavailable, match="NodeLost"), WarmingLock(store()):
            pass

        fleet.restore()
        until(lambda: is_answered(store().backend))
        with WarmingLock(store()):
            assert holder_of(store()) is not None
        assert holder_of(store()) is None

    def test_that_is_lost_in_a_run_ends_by_itself(
        self, fleet: ClusterFleet, home: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache_lock, "LIFE", 3)
        with WarmingLock(store()):
            fleet.lose(home)
        fleet.restore()
        until(lambda: is_answered(store().backend))

        assert until(lambda: holder_of(store()) is None) <= 2 * 3

    def test_outlives_a_failover(self, fleet: ClusterFleet, home: Server) -> None:
        with WarmingLock(store()):
            until_replicated(home, fleet.replica_of(home))
            home.stop(signal.SIGKILL)
            until(lambda: is_answered(store().backend))
            with pytest.raises(Locked), WarmingLock(store()):
                pass
        assert holder_of(store()) is None


def test_a_lost_node_costs_its_share_and_nothing_else(
    fleet: ClusterFleet, cache: RedisClusterCache
) -> None:
    cache.set_many(VALUES, 60)
    victim = fleet.primaries[0]
    lost = keys_on(cache, victim)
    fleet.lose(victim)
    assert set(cache.get_many(list(VALUES))) == VALUES.keys() - lost
    assert set(cache.set_many(VALUES, 60)) == lost
    assert set(cache.touch_many(list(VALUES), 60)) == lost
    assert set(cache.touch_many(list(VALUES), None)) == lost
    assert set(cache.advance_many(ADVANCES, 60)) == lost
    assert set(cache.add_many(VALUES, 60)) == set(VALUES)
    assert cache.get_many(list(lost)) == {}
    one = next(iter(lost))
    decisive: list[Callable[[], object]] = [
        lambda: cache.add_many({one: b"1"}, 60),
        lambda: cache.advance_many({one: Advance(sealed(3))}, 60),
        lambda: cache.delete_many(list(VALUES)),
        lambda: cache.incr(one),
        lambda: cache.delete(one),
    ]
    for call in decisive:
        with pytest.raises(cache.errors):
            call()


def test_a_node_that_returns_is_asked_again(fleet: ClusterFleet, cache: RedisClusterCache) -> None:
    cache.set_many(VALUES, 60)
    victim = fleet.primaries[0]
    fleet.lose(victim)
    assert cache.set_many(VALUES, 60) != []
    victim.start()
    until(lambda: cache.set_many(VALUES, 60) == [])
    assert cache.get_many(list(VALUES)) == VALUES


def test_a_frozen_node_is_waited_for_once(fleet: ClusterFleet, cache: RedisClusterCache) -> None:
    cache.set_many(VALUES, 60)
    victim = fleet.primaries[0]
    lost = keys_on(cache, victim)
    ask(fleet.replica_of(victim)).config_set("cluster-replica-no-failover", "yes")
    freeze(victim)
    with Stopwatch() as once:
        assert set(cache.get_many(list(VALUES))) == VALUES.keys() - lost
    assert once.elapsed > 0.4
    assert once.seconds < 0.9
    with Stopwatch() as again:
        for _ in range(3):
            cache.get_many(list(VALUES))
    assert again.seconds < 0.4


def test_a_replica_takes_over(fleet: ClusterFleet, cache: RedisClusterCache) -> None:
    cache.set_many(VALUES, 60)
    victim = fleet.primaries[0]
    until(lambda: ask(victim).wait(1, 1000) == 1)
    replica = fleet.replica_of(victim)
    lost = keys_on(cache, victim)
    victim.stop(signal.SIGKILL)
    until(lambda: len(cache.get_many(list(VALUES))) == len(VALUES))
    assert keys_on(cache, replica) == lost
    assert cache.set_many(VALUES, 60) == []
    assert cache.advance_many(ADVANCES, 60) == []


def test_a_cluster_of_which_nothing_is_left_raises(
    fleet: ClusterFleet, cache: RedisClusterCache
) -> None:
    cache.set_many(VALUES, 60)
    for primary in fleet.primaries:
        freeze(primary)
    for call in (cache.get_many, cache.set_many, cache.touch_many):
        with pytest.raises(cache.errors, match="No node of the cluster answers"):
            call(VALUES)
    for primary in fleet.nodes:
        primary.thaw()
    until(lambda: is_answered(cache))
    assert cache.get_many(list(VALUES)) == VALUES


def is_answered(cache: RedisClusterCache) -> bool:
    try:
        return cache.set_many(VALUES, 60) == []
    except cache.errors:
        return False


def test_an_invalidation_outlives_the_primary_that_heard_of_it(
    fleet: ClusterFleet, cache: RedisClusterCache
) -> None:
    keys = [f"token#{copy}" for copy in range(3)]
    assert cache.add_many(dict.fromkeys(keys, sealed(1)), None) == []
    victim = next(node for node in fleet.primaries if node.port == port_of(cache, keys[0]))
    fleet.lose(victim)
    assert cache.advance_many({key: Advance(sealed(2)) for key in keys}, None) == keys[:1]
    assert cache.get_many(keys) == dict.fromkeys(keys[1:], sealed(2))
