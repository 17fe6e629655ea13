"""The Redis backend on real servers: time-outs, refusals, restarts, permissions, secrets."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fragcache.backends import Advance, redis
from fragcache.backends.redis import RedisCache
from fragcache.testing.advancing import now, sealed
from tests.backends import freeze, new_cache
from tests.processes import Server
from tests.relay import Relay
from tests.stopwatch import Stopwatch
from tests.threads import awaited_threads

pytestmark = pytest.mark.server("redis")

StartServer = Callable[[str], Server]


def cache_at(location: str | list[str], **options: Any) -> RedisCache:
    cache = new_cache("fragcache.backends.redis.RedisCache", location, **options)
    assert isinstance(cache, RedisCache)
    return cache


def connection_options(cache: RedisCache) -> dict[str, Any]:
    options: dict[str, Any] = cache.client.get_client().connection_pool.connection_kwargs
    return options


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server("redis")


@pytest.fixture
def admin(server: Server) -> Redis:
    return Redis(port=server.port, retry=None)


def test_timeouts_are_set_unless_options_say_otherwise(redis_url: str) -> None:
    options = connection_options(cache_at(redis_url))
    assert options["socket_connect_timeout"] == 0.25
    assert options["socket_timeout"] == 0.5
    options = connection_options(cache_at(redis_url, SOCKET_TIMEOUT=2))
    assert options["socket_connect_timeout"] == 0.25
    assert options["socket_timeout"] == 2


def test_aliases_with_one_location_keep_their_own_options(redis_url: str) -> None:
    first, second = cache_at(redis_url, SOCKET_TIMEOUT=0.3), cache_at(redis_url, SOCKET_TIMEOUT=3)
    for cache in (first, second):
        assert cache.get_many(["absent"]) == {}
    assert connection_options(first)["socket_timeout"] == 0.3
    assert connection_options(second)["socket_timeout"] == 3


def test_instances_of_one_alias_share_their_connections(redis_url: str) -> None:
    pools = {id(cache_at(redis_url).client.get_client().connection_pool) for _ in range(3)}
    assert len(pools) == 1


@pytest.mark.parametrize("location", ["{0},{0}", ["{0}", "{0}"]])
def test_replicas_are_refused(redis_url: str, location: str | list[str]) -> None:
    """django-redis would read tokens and heads from one that lags behind."""
    if isinstance(location, str):
        urls: Any = location.format(redis_url)
    else:
        urls = [url.format(redis_url) for url in location]
    with pytest.raises(ImproperlyConfigured, match=r"LOCATION names 2 servers: .* primary alone"):
        cache_at(urls)
    assert cache_at([redis_url]).set_many({"a": b"1"}) == []


def test_a_location_that_is_no_address_is_refused_without_its_password() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        cache_at("user:secret@127.0.0.1:6379")
    assert str(caught.value) == (
        "LOCATION is '127.0.0.1:6379', which is no address of a server (Redis URL must specify one "
        "of the following schemes (redis://, rediss://, unix://)): write redis://host:port/0, "
        "rediss://host:port/0 or unix:///path."
    )


def test_a_serializer_or_compressor_is_refused_by_name(redis_url: str) -> None:
    for name in ("SERIALIZER", "COMPRESSOR"):
        with pytest.raises(ImproperlyConfigured, match=rf"OPTIONS\['{name}'\] is 'x\.Y', but"):
            cache_at(redis_url, **{name: "x.Y"})


def test_each_bulk_call_is_one_round_trip(redis_url: str) -> None:
    with Relay(redis_url.split("/")[2]) as relay:
        cache = cache_at(f"redis://{relay.address}/0")
        values = {f"trip:{number}": sealed(now()) for number in range(50)}
        advances = {key: Advance(value) for key, value in values.items()}
        cache.advance_many(advances, 60)  # connects, and loads a script
        cache.touch_many(list(values), 60)  # loads the other
        calls: list[Callable[[], object]] = [
            lambda: cache.get_many(list(values)),
            lambda: cache.set_many(values, 60),
            lambda: cache.add_many(values, 60),
            lambda: cache.touch_many(list(values), 60),
            lambda: cache.touch_many(list(values), None),
            lambda: cache.advance_many(advances, 60),
            lambda: cache.delete_many(list(values)),
        ]
        for call in calls:
            with relay.counting() as trips:
                call()
            assert trips.count == 1


@pytest.mark.parametrize("is_one_server", [True, False], ids=["one server", "cluster"])
def test_what_a_script_answers_is_of_each_key_in_a_batch_of_any_size(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, is_one_server: bool
) -> None:
    """Of one server many keys are one command; on a cluster they lie on different servers."""
    monkeypatch.setattr(redis, "is_one_server", lambda _client: is_one_server)
    cache, moment = cache_at(redis_url), now()
    keys = [f"script:{number}" for number in range(2 * redis._KEYS_AT_ONCE + 1)]
    there, later = keys[::3], keys[::6]
    cache.delete_many(keys)
    cache.set_many({key: sealed(moment + (key in later)) for key in there}, 60)

    for seconds in (60, None):
        assert cache.touch_many(keys, seconds) == [key for key in keys if key not in there]
    new = {key: Advance(sealed(moment, key.encode())) for key in keys}
    assert cache.advance_many(new, 60) == later
    found = cache.get_many(keys)
    assert {key for key in keys if found[key] == new[key].value} == set(keys) - set(later)
    cache.delete_many(keys)


def test_a_frozen_server_costs_the_timeout_once(server: Server) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1"}, 60)
    freeze(server)
    with Stopwatch() as watch, pytest.raises(cache.errors) as caught:
        cache.get_many(["a"])
    assert isinstance(caught.value, RedisTimeoutError)
    assert watch.elapsed > 0.4
    assert watch.seconds < 0.9
    server.thaw()
    assert cache.get_many(["a"]) == {"a": b"1"}


def test_a_stopped_server_raises_at_once_and_answers_as_soon_as_it_is_back(server: Server) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1"}, 60)
    server.stop(signal.SIGKILL)
    calls: list[Callable[[], object]] = [
        lambda: cache.get_many(["a"]),
        lambda: cache.set_many({"a": b"1"}, 60),
        lambda: cache.add_many({"a": b"1"}, 60),
        lambda: cache.touch_many(["a"], 60),
        lambda: cache.delete_many(["a"]),
        lambda: cache.advance_many({"a": Advance(sealed(now()))}, 60),
    ]
    with Stopwatch() as watch:
        for call in calls:
            with pytest.raises(cache.errors) as caught:
                call()
            assert isinstance(caught.value, RedisConnectionError)
    assert watch.seconds < 0.5
    server.start()
    assert cache.get_many(["a"]) == {}
    assert cache.advance_many({"a": Advance(sealed(now()))}, 60) == []


def test_a_full_server_refuses_values_by_key_and_still_reads(server: Server, admin: Redis) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1"}, 60)
    admin.config_set("maxmemory", 1)
    assert cache.set_many({"a": b"2", "b": b"2"}, 60) == ["a", "b"]
    assert cache.get_many(["a", "b"]) == {"a": b"1"}
    with pytest.raises(OutOfMemoryError):
        cache.add_many({"b": b"1"}, 60)
    with pytest.raises(OutOfMemoryError):
        cache.advance_many({"b": Advance(sealed(now()))}, 60)


def test_a_replica_refuses_writes_by_key_and_still_reads(server: Server, admin: Redis) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1"}, 60)
    admin.replicaof("127.0.0.1", 1)
    assert cache.set_many({"a": b"2"}, 60) == ["a"]
    assert cache.get_many(["a"]) == {"a": b"1"}
    for call in (cache.touch_many, cache.delete_many):
        with pytest.raises(ReadOnlyError):
            call(["a"])


def test_a_user_who_may_only_read_reads(server: Server, admin: Redis) -> None:
    admin.acl_setuser(
        "reader", enabled=True, passwords="+secret", keys="*", commands=["+get", "+mget"]
    )
    cache_at(server.address).set_many({"a": b"1"}, 60)
    reader = cache_at(f"redis://reader:secret@127.0.0.1:{server.port}/0")
    assert reader.get_many(["a", "b"]) == {"a": b"1"}
    assert reader.get("a") == b"1"
    assert reader.set_many({"a": b"2"}, 60) == ["a"]


def test_a_forgotten_script_is_loaded_again(server: Server, admin: Redis) -> None:
    cache = cache_at(server.address)
    for _ in range(2):
        admin.script_flush()
        assert cache.advance_many({"a": Advance(sealed(now()))}, 60) == []


def test_a_value_of_another_kind_gives_way_to_an_advanced_one(redis_url: str) -> None:
    cache = cache_at(redis_url)
    Redis.from_url(redis_url).rpush(cache.make_key("kind"), "element")
    assert cache.advance_many({"kind": Advance(sealed(now()))}, 60) == []
    cache.delete("kind")


def test_a_pickle_of_another_backend_comes_back_as_bytes(redis_url: str, settings: Any) -> None:
    settings.CACHES = settings.CACHES | {
        "pickling": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url}
    }
    caches["pickling"].set("pickled", {"a": (1, 2)}, 60)
    cache = cache_at(redis_url)
    assert cache.get("pickled")[:1] == b"\x80"
    assert cache.get_many(["pickled"]) == {"pickled": cache.get("pickled")}


def test_a_value_that_cannot_be_read_is_absent(redis_url: str) -> None:
    cache = cache_at(redis_url)
    Redis.from_url(redis_url).set(cache.make_key("bad"), b"\x00j{", ex=60)
    assert cache.get("bad", "default") == "default"
    assert cache.get_many(["bad"]) == {}


def test_figures_name_the_server_without_its_password(server: Server, admin: Redis) -> None:
    admin.config_set("requirepass", "s3cret")
    cache = cache_at(f"redis://:s3cret@127.0.0.1:{server.port}/2")
    (stats,) = cache.server_stats()
    assert stats.address == f"127.0.0.1:{server.port}/2"
    assert stats.figures["keyspace_hits"] == 0
    assert "s3cret" not in repr(stats)
    (stats,) = cache_at(f"redis://:wr0ng@127.0.0.1:{server.port}/2").server_stats()
    assert "AuthenticationError" in stats.error
    assert "wr0ng" not in repr(stats)


def test_figures_name_a_socket_by_its_path() -> None:
    (stats,) = cache_at("unix://:s3cret@/nowhere/redis.sock?db=1").server_stats()
    assert stats.address == "/nowhere/redis.sock"
    assert stats.error.startswith("ConnectionError")


def test_figures_of_a_server_that_does_not_answer_are_a_text_within_a_second(
    server: Server,
) -> None:
    cache = cache_at(server.address, SOCKET_TIMEOUT=30)
    freeze(server)
    with awaited_threads():
        with Stopwatch() as watch:
            (frozen,) = cache.server_stats()
        server.thaw()
    assert watch.seconds < 1.5
    assert frozen.error == "No answer within 0.9 s."
    assert not frozen.figures
    (dead,) = cache_at("redis://127.0.0.1:1/0").server_stats()
    assert "ConnectionError" in dead.error
