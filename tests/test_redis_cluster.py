"""A Redis Cluster of three primaries and three replicas: what is sent where, and found there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from fragcache.backends import Advance, redis_nodes
from fragcache.backends.figures import figures_of
from fragcache.backends.redis_cluster import RedisClusterCache
from fragcache.backends.redis_nodes import Nodes
from fragcache.backends.redis_slots import SLOTS, slot_of, wire_name
from fragcache.testing import BackendBehaviour
from fragcache.testing.advancing import sealed
from tests.backends import new_cache
from tests.fleet_pages import use_fleet
from tests.fleets import ClusterFleet, ask, fleet_of, is_done, until
from tests.processes import Server, free_port

pytestmark = pytest.mark.server("redis")

VALUES = {f"key:{number}": sealed(1, b"%d" % number) for number in range(90)}
ADVANCES = {key: Advance(sealed(2)) for key in VALUES}


@pytest.fixture(scope="module")
def fleet() -> Iterator[ClusterFleet]:
    yield from fleet_of(ClusterFleet)


@pytest.fixture(autouse=True)
def whole(fleet: ClusterFleet) -> Iterator[None]:
    """Each test has the fleet whole, and a process that has not asked it before."""
    until(fleet.is_whole)
    for node in fleet.primaries:
        ask(node).flushall()
    yield
    Nodes.forget_all()
    fleet.restore()


@pytest.fixture
def cache(fleet: ClusterFleet) -> RedisClusterCache:
    return cache_at(*fleet.locations)


@pytest.fixture
def cache_alias(request: pytest.FixtureRequest, fleet: ClusterFleet, settings: Any) -> str:
    return use_fleet(request, settings, fleet.cache)


def cache_at(*locations: str, **options: Any) -> RedisClusterCache:
    backend = "fragcache.backends.redis_cluster.RedisClusterCache"
    cache = new_cache(backend, locations, **options)
    assert isinstance(cache, RedisClusterCache)
    return cache


def keys_on(cache: RedisClusterCache, server: Server) -> set[str]:
    """Return those of VALUES that a server serves."""
    return {key for key in VALUES if port_of(cache, key) == server.port}


def port_of(cache: RedisClusterCache, key: str) -> int:
    node = cache._nodes.topology.node_of(wire_name(cache.make_key(key)))
    assert node is not None
    return int(node.port)


class TestBackend(BackendBehaviour):
    alias = "cluster"

    @pytest.fixture(autouse=True)
    def cluster(self, fleet: ClusterFleet, settings: Any) -> None:
        settings.CACHES = settings.CACHES | {"cluster": fleet.cache}


def test_slots_are_those_of_the_cluster(fleet: ClusterFleet) -> None:
    for name in (b"a", b"", b"1:fc1:x#0", b"a{b}c", b"a{}c", b"{a", b"a}b{c}{d}", b"\xff{"):
        assert slot_of(name) == ask(fleet.nodes[0]).execute_command("CLUSTER KEYSLOT", name)


def test_copies_of_a_token_lie_on_different_primaries(cache: RedisClusterCache) -> None:
    assert cache.token_copies == 3
    homes = {}
    for key in VALUES:
        homes[key] = [port_of(cache, f"{key}#{copy}") for copy in range(3)]
        assert len(set(homes[key])) == 3
    assert len({ports[0] for ports in homes.values()}) == 3, "the first ones are spread as well"


@pytest.mark.parametrize("primaries", [3, 4, 5, 7, 16, 100])
def test_copies_lie_apart_wherever_slots_are_shared_out_evenly(primaries: int) -> None:
    size = SLOTS / primaries
    for number in range(1000):
        slots = [slot_of(wire_name(f"{number}#{copy}")) for copy in range(3)]
        assert len({int((slot + 0.5) / size) for slot in slots}) == 3


def test_each_bulk_call_is_one_round_trip_to_each_node(
    cache: RedisClusterCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.set_many(VALUES, 60)
    cache.advance_many(ADVANCES, 60)  # loads the script
    sent: list[Any] = []
    send = redis_nodes.send
    monkeypatch.setattr(
        redis_nodes, "send", lambda *given: (sent.append(given[0].port), send(*given))
    )
    calls: list[Callable[[], object]] = [
        lambda: cache.get_many(list(VALUES)),
        lambda: cache.set_many(VALUES, 60),
        lambda: cache.add_many(VALUES, 60),
        lambda: cache.touch_many(list(VALUES), 60),
        lambda: cache.touch_many(list(VALUES), None),
        lambda: cache.advance_many(ADVANCES, 60),
        lambda: cache.delete_many(list(VALUES)),
    ]
    for call in calls:
        sent.clear()
        call()
        assert len(sent) == len(set(sent)) == 3


def test_slots_that_have_moved_are_followed_at_once(
    fleet: ClusterFleet, cache: RedisClusterCache
) -> None:
    cache.set_many(VALUES, 60)
    replica = fleet.replica_of(fleet.primaries[0])
    until(lambda: is_done(replica, "CLUSTER", "FAILOVER"))
    until(lambda: replica in fleet.primaries)
    assert cache.get_many(list(VALUES)) == VALUES
    assert cache.set_many(VALUES, 60) == []


def test_slots_that_are_on_the_move_are_followed_at_once(
    fleet: ClusterFleet, cache: RedisClusterCache
) -> None:
    source, target, _other = fleet.primaries
    key = next(iter(keys_on(cache, source)))
    cache.set_many(VALUES, 60)
    wire = wire_name(cache.make_key(key))
    slot = slot_of(wire)
    ids = {node: ask(node).execute_command("CLUSTER MYID").decode() for node in (source, target)}
    setslot = ("CLUSTER", "SETSLOT", slot)
    try:
        ask(target).execute_command(*setslot, "IMPORTING", ids[source])
        ask(source).execute_command(*setslot, "MIGRATING", ids[target])
        ask(source).execute_command("MIGRATE", "127.0.0.1", target.port, wire, 0, 1000)
        assert cache.get_many(list(VALUES)) == VALUES
        assert cache.advance_many(ADVANCES, 60) == []
        assert cache.delete(key)
    finally:
        for node in (target, source):
            ask(node).execute_command(*setslot, "STABLE")


def test_a_cluster_that_cannot_be_found_raises_and_says_so_in_its_figures() -> None:
    cache = cache_at(f"redis://me:s3cret@127.0.0.1:{free_port()}")
    with pytest.raises(cache.errors):
        cache.get_many(["a"])
    (stats,) = cache.server_stats()
    assert stats.error
    assert "s3cret" not in repr(stats)


def test_figures_are_those_of_all_nodes(fleet: ClusterFleet, cache: RedisClusterCache) -> None:
    stats = {found.address: str(found.figures["role"]) for found in cache.server_stats()}
    # A cluster tells of no replica that has had nothing to copy.
    assert stats.keys() == {node.name for node in cache._nodes.topology.nodes}
    assert list(stats.values()).count("master") == 3
    roles = [figures_of(found).role for found in cache.server_stats()]
    assert roles.count("primary") == 3
    assert stats.keys() <= {f"127.0.0.1:{node.port}" for node in fleet.nodes}


def test_some_of_the_addresses_may_be_dead(fleet: ClusterFleet) -> None:
    cache = cache_at(f"redis://127.0.0.1:{free_port()}", fleet.locations[4])
    assert cache.set_many(VALUES, 60) == []


def test_timeouts_are_set_unless_options_say_otherwise(fleet: ClusterFleet) -> None:
    for options, expected in (({}, (0.25, 0.5)), ({"SOCKET_TIMEOUT": 2}, (0.25, 2))):
        cache = cache_at(*fleet.locations, **options)
        for node in cache._nodes.topology.nodes:
            given = node.redis_connection.connection_pool.connection_kwargs
            assert (given["socket_connect_timeout"], given["socket_timeout"]) == expected


def test_what_is_not_understood_is_refused_by_name() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"OPTIONS\['SERIALIZER'\] is none of"):
        cache_at("redis://127.0.0.1", SERIALIZER="x.Y")
    for location in ("redis://127.0.0.1/1", "unix:///redis.sock", "127.0.0.1:6379"):
        with pytest.raises(ImproperlyConfigured, match="write redis://host:port"):
            cache_at(location)
    with pytest.raises(ImproperlyConfigured) as caught:
        cache_at("redis://:s3cret@127.0.0.1/1")
    assert "s3cret" not in str(caught.value)
