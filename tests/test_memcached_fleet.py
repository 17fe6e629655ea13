"""A fleet of Memcached servers: which key lies where, and what the loss of one costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fragcache.backends import Advance
from fragcache.backends.memcached import MemcachedCache
from fragcache.backends.memcached_fleet import Fleet
from fragcache.testing.advancing import sealed
from tests.backends import freeze, new_cache
from tests.fleet_pages import SharedPages, use_fleet
from tests.fleets import until
from tests.processes import Server
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.server("memcached")

StartServer = Callable[[str], Server]

#: Seconds for which a server that has not answered is left alone.
DEAD = 0.5
#: For servers that answer, or refuse connections.
PATIENT = {"timeout": 15, "connect_timeout": 15}
VALUES = {f"key:{number}": sealed(1, b"%d" % number) for number in range(60)}


def fleet_at(*locations: str, **options: Any) -> MemcachedCache:
    cache = new_cache("fragcache.backends.memcached.MemcachedCache", locations, **options)
    assert isinstance(cache, MemcachedCache)
    return cache


@pytest.fixture
def servers(start_server: StartServer) -> list[Server]:
    return [start_server("memcached") for _ in range(3)]


@pytest.fixture
def fleet(servers: list[Server]) -> MemcachedCache:
    return fleet_at(*(server.address for server in servers), dead_timeout=DEAD, **PATIENT)


@pytest.fixture(autouse=True)
def no_connection_is_left() -> Iterator[None]:
    yield
    Fleet.close_all()


class TestPages(SharedPages):
    @pytest.fixture
    def cache_alias(
        self, request: pytest.FixtureRequest, settings: Any, servers: list[Server]
    ) -> str:
        cache = {
            "BACKEND": "fragcache.backends.memcached.MemcachedCache",
            "LOCATION": [server.address for server in servers],
            "OPTIONS": PATIENT,
        }
        return use_fleet(request, settings, cache)

    @pytest.fixture
    def lose(self, servers: list[Server]) -> Callable[[], None]:
        return servers[0].stop


def keys_of(fleet: MemcachedCache, server: Server) -> set[str]:
    """Return those of VALUES that lie on a server."""
    node_of = fleet._cache.node_of
    return {
        key for key in VALUES if node_of(fleet.make_key(key).encode()).address == server.address
    }


def test_a_fleet_shares_keys_among_its_servers(
    fleet: MemcachedCache, servers: list[Server]
) -> None:
    assert fleet.set_many(VALUES, 60) == []
    assert fleet.get_many(list(VALUES)) == VALUES
    assert all(int(stats.figures["curr_items"]) > 5 for stats in fleet.server_stats())


def test_the_order_of_a_fleets_addresses_does_not_matter(
    fleet: MemcachedCache, servers: list[Server]
) -> None:
    fleet.set_many(VALUES, 60)
    assert fleet_at(*(s.address for s in reversed(servers))).get_many(list(VALUES)) == VALUES


def test_copies_of_a_token_lie_on_different_servers(fleet: MemcachedCache) -> None:
    assert fleet.token_copies == 3
    for key in VALUES:
        nodes = {fleet._cache.node_of(f"{key}#{copy}".encode()) for copy in range(3)}
        assert len(nodes) == 3


def test_one_server_keeps_one_copy_and_two_keep_two(memcached_address: str) -> None:
    assert fleet_at(memcached_address).token_copies == 1
    assert fleet_at(memcached_address, "127.0.0.1:1").token_copies == 2


def test_a_lost_server_costs_its_share_and_nothing_else(
    fleet: MemcachedCache, servers: list[Server]
) -> None:
    fleet.set_many(VALUES, 60)
    lost = keys_of(fleet, servers[0])
    servers[0].stop()
    advances = {key: Advance(sealed(2)) for key in VALUES}
    assert set(fleet.get_many(list(VALUES))) == VALUES.keys() - lost
    assert set(fleet.set_many(VALUES, 60)) == lost
    assert set(fleet.touch_many(list(VALUES), 60)) == lost
    assert set(fleet.advance_many(advances, 60)) == lost
    assert set(fleet.add_many(VALUES, 60)) == set(VALUES)
    assert fleet.get_many(list(lost)) == {}


def test_what_must_be_known_is_raised_where_nobody_could_be_asked(
    fleet: MemcachedCache, servers: list[Server]
) -> None:
    (lost, *_others) = keys_of(fleet, servers[0])
    servers[0].stop()
    with pytest.raises(fleet.errors):
        fleet.add_many({lost: b"1"}, 60)
    with pytest.raises(fleet.errors):
        fleet.advance_many({lost: Advance(sealed(2))}, 60)
    with pytest.raises(fleet.errors):
        fleet.delete_many(list(VALUES))


def test_a_frozen_server_of_a_fleet_is_left_alone_for_a_while(servers: list[Server]) -> None:
    fleet = fleet_at(*(server.address for server in servers), dead_timeout=DEAD)
    fleet.set_many(VALUES, 60)
    freeze(servers[0])
    with Stopwatch() as once:
        assert len(fleet.get_many(list(VALUES))) == len(VALUES) - len(keys_of(fleet, servers[0]))
    assert once.seconds < 0.9
    with Stopwatch() as again:
        for _ in range(3):
            fleet.get_many(list(VALUES))
    assert again.seconds < 0.4
    servers[0].thaw()
    until(lambda: fleet.get_many(list(VALUES)) == VALUES)


def test_a_server_that_returns_brings_nothing_back_that_was_replaced(
    fleet: MemcachedCache, servers: list[Server]
) -> None:
    fleet.set_many(VALUES, 60)
    lost = keys_of(fleet, servers[0])
    servers[0].stop()
    fleet.set_many(dict.fromkeys(VALUES, b"new"), 60)
    servers[0].start()
    time.sleep(1.2 * DEAD)
    assert set(fleet.get_many(list(VALUES))) == VALUES.keys() - lost
    assert fleet.set_many(VALUES, 60) == []


def test_a_fleet_of_which_nothing_is_left_raises(
    fleet: MemcachedCache, servers: list[Server]
) -> None:
    for server in servers:
        server.stop()
    for call in (fleet.get_many, fleet.touch_many):
        with pytest.raises(fleet.errors):
            call(list(VALUES))
    with pytest.raises(fleet.errors):
        fleet.get_many(["one"])
    with pytest.raises(fleet.errors):
        fleet.set_many(VALUES)
