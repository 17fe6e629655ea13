"""The connections of the Memcached backend: kept, lost, found again, and never mixed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import close_caches
from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
)

from fragcache.backends import Advance
from fragcache.backends.memcached import MemcachedCache
from fragcache.backends.memcached_client import Connection
from fragcache.backends.memcached_fleet import Fleet
from fragcache.testing.advancing import now, sealed
from tests.backends import freeze, new_cache
from tests.processes import Server
from tests.relay import Relay
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.server("memcached")

StartServer = Callable[[str], Server]

VALUES = {f"key:{number}": sealed(1, b"%d" % number) for number in range(60)}


def cache_at(location: str, **options: Any) -> MemcachedCache:
    cache = new_cache("fragcache.backends.memcached.MemcachedCache", location, **options)
    assert isinstance(cache, MemcachedCache)
    return cache


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server("memcached")


@pytest.fixture(autouse=True)
def no_connection_is_left() -> Iterator[None]:
    yield
    Fleet.close_all()


def figure(location: str, name: str) -> int:
    (stats,) = cache_at(location).server_stats()
    return int(stats.figures[name])


def test_what_is_used_of_pymemcache_is_still_there() -> None:
    assert callable(Client._connect)
    assert Connection(("127.0.0.1", 1)).sock is None


def test_each_bulk_call_is_one_round_trip_and_advancing_two(memcached_address: str) -> None:
    with Relay(memcached_address) as relay:
        cache = cache_at(relay.address, timeout=5)
        advances = {key: Advance(value) for key, value in VALUES.items()}
        cache.get_many(["absent"])  # connects
        calls: list[tuple[int, Callable[[], object]]] = [
            (1, lambda: cache.get_many(list(VALUES))),
            (1, lambda: cache.set_many(VALUES, 60)),
            (1, lambda: cache.add_many(VALUES, 60)),
            (1, lambda: cache.touch_many(list(VALUES), 60)),
            (2, lambda: cache.advance_many(advances, 60)),
            (1, lambda: cache.delete_many(list(VALUES))),
        ]
        for expected, call in calls:
            with relay.counting() as trips:
                call()
            assert trips.count == expected
        Fleet.close_all()


def test_connections_outlive_the_request(server: Server) -> None:
    cache = cache_at(server.address)
    cache.get("absent")
    before = figure(server.address, "total_connections")
    for _ in range(5):
        close_caches()
        cache.close()
        cache_at(server.address).get("absent")
    assert figure(server.address, "total_connections") == before


@pytest.mark.parametrize("former", [None, sealed(1)])
def test_a_write_between_reading_and_replacing_is_not_lost(
    former: bytes | None, memcached_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, other = cache_at(memcached_address), cache_at(memcached_address, timeout=1)
    cache.delete("raced")
    if former:
        cache.set("raced", former, 60)
    fleet = cache._cache
    read = fleet.retrieve

    def read_and_be_overtaken(*args: Any) -> Any:
        found = read(*args)
        monkeypatch.undo()
        other.set("raced", sealed(3), 60)
        return found

    monkeypatch.setattr(fleet, "retrieve", read_and_be_overtaken)
    assert cache.advance_many({"raced": Advance(sealed(2))}, 60) == ["raced"]
    assert cache.get("raced") == sealed(3)


def test_a_frozen_server_costs_the_timeout_and_no_later_answer(server: Server) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1", "b": b"2"}, 60)
    freeze(server)
    with Stopwatch() as watch, pytest.raises(cache.errors):
        cache.get_many(["a"])
    assert watch.elapsed > 0.4
    assert watch.seconds < 0.9
    server.thaw()
    assert cache.get_many(["b"]) == {"b": b"2"}


def test_a_stopped_server_raises_at_once_and_answers_as_soon_as_it_is_back(server: Server) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1"}, 60)
    server.stop()
    calls: list[Callable[[], object]] = [
        lambda: cache.get_many(["a"]),
        lambda: cache.set_many({"a": b"1"}, 60),
        lambda: cache.add_many({"a": b"1"}, 60),
        lambda: cache.touch_many(["a"], 60),
        lambda: cache.delete_many(["a"]),
        lambda: cache.advance_many({"a": Advance(sealed(now()))}, 60),
        lambda: cache.incr("a"),
    ]
    with Stopwatch() as watch:
        for call in calls:
            with pytest.raises(cache.errors):
                call()
    assert watch.seconds < 0.5
    server.start()
    assert cache.get_many(["a"]) == {}
    assert cache.advance_many({"a": Advance(sealed(now()))}, 60) == []


def test_a_connection_with_an_answer_that_nobody_read_is_not_used_again(
    memcached_address: str,
) -> None:
    cache = cache_at(memcached_address)
    cache.set_many({"a": b"1", "b": b"2"}, 60)
    (node,) = cache._cache.nodes
    connection = node.borrow()
    connection.send([b"get :1:a\r\n"])
    time.sleep(0.05)
    node._idle.append(connection)
    assert cache.get("b") == b"2"
    assert connection.sock is None


def test_a_batch_is_sent_in_pieces(memcached_address: str) -> None:
    cache = cache_at(memcached_address)
    values = {str(number): b"x" * 300_000 for number in range(10)}
    assert cache.set_many(values, 60) == []
    assert cache.get_many(list(values)) == values
    cache.delete_many(list(values))


def test_an_error_of_the_protocol_leaves_no_connection_behind(memcached_address: str) -> None:
    cache = cache_at(memcached_address)
    cache.set("text", "1x", 60)
    with pytest.raises(MemcacheClientError):
        cache.incr("text")
    assert cache.get("text") == "1x"
