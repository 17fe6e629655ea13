"""Batches of commands to Redis: sent in pieces, by whatever client there is, and never mixed up."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from fragcache.backends import redis_pipeline
from fragcache.backends.redis import RedisCache
from tests.backends import new_cache

pytestmark = pytest.mark.server("redis")


def cache_at(location: str, **options: Any) -> RedisCache:
    cache = new_cache("fragcache.backends.redis.RedisCache", location, **options)
    assert isinstance(cache, RedisCache)
    return cache


def test_a_batch_of_several_pieces_is_stored_as_a_whole(redis_url: str) -> None:
    cache = cache_at(redis_url)
    values = {f"piece:{number}": b"x" * 30_000 for number in range(10)}
    assert cache.set_many(values, 60) == []
    assert cache.get_many(list(values)) == values
    cache.delete_many(list(values))
    assert cache.get_many(list(values)) == {}


def test_without_hiredis_commands_are_packed_by_the_client(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_pipeline, "pack_command", None)
    cache = cache_at(redis_url)
    assert cache.set_many({"packed": b"1", "other": b"2"}, 60) == []
    assert cache.touch_many(["packed", "absent"], 60) == ["absent"]
    cache.delete_many(["packed", "other"])


def test_a_client_of_a_cluster_sends_commands_by_its_own_pipeline(redis_url: str) -> None:
    class Cluster:
        def pipeline(self, *, transaction: bool) -> Any:
            return Redis.from_url(redis_url).pipeline(transaction=transaction)

    stored, error = redis_pipeline.exchange(Cluster(), [("SET", "by:cluster", b"1"), ("NONE",)])
    assert stored
    assert "unknown command" in str(error)
    assert redis_pipeline.exchange(Cluster(), [("DEL", "by:cluster")]) == [1]


def test_a_call_that_is_interrupted_leaves_its_replies_to_nobody(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_at(redis_url)
    cache.set_many({"a": b"1", "b": b"2"}, 60)
    pool = cache.client.get_client().connection_pool
    connection = pool.get_connection()
    pool.release(connection)
    read, replies = connection.read_response, iter([True])

    def read_once(**options: Any) -> Any:
        if next(replies, None) is None:
            raise KeyboardInterrupt
        return read(**options)

    monkeypatch.setattr(connection, "read_response", read_once)
    with pytest.raises(KeyboardInterrupt):
        cache.set_many({"a": b"1", "b": b"2", "c": b"3"}, 60)
    monkeypatch.undo()
    assert not connection.is_connected
    assert cache.get_many(["a", "b"]) == {"a": b"1", "b": b"2"}


def test_a_connection_that_breaks_is_tried_again_if_the_pool_says_so(redis_url: str) -> None:
    cache = cache_at(redis_url, CONNECTION_POOL_KWARGS={"retry": Retry(NoBackoff(), 1)})
    pool = cache.client.get_client().connection_pool
    connection = pool.get_connection()
    pool.release(connection)
    send = connection.send_packed_command

    def break_once(*args: Any, **options: Any) -> None:
        connection.send_packed_command = send
        raise RedisConnectionError("broken")

    connection.send_packed_command = break_once
    assert cache.set_many({"again": b"1"}, 60) == []
    assert cache.get("again") == b"1"
