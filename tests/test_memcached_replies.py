"""What a Memcached server may send: cut anywhere, too much, or another language."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from fragcache.backends.memcached import MemcachedCache
from fragcache.backends.memcached_fleet import Fleet
from fragcache.testing.racing import in_threads
from tests.backends import new_cache


def cache_at(location: str, **options: Any) -> MemcachedCache:
    cache = new_cache("fragcache.backends.memcached.MemcachedCache", location, **options)
    assert isinstance(cache, MemcachedCache)
    return cache


@pytest.fixture(autouse=True)
def no_connection_is_left() -> Iterator[None]:
    yield
    Fleet.close_all()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"SERVER_ERROR out of memory\r\n", MemcacheServerError),
        (b"CLIENT_ERROR bad command line format\r\n", MemcacheClientError),
        (b"ERROR\r\n", MemcacheUnknownCommandError),
        (b"HTTP/1.1 400 Bad Request\r\n", MemcacheUnknownError),
        (b"VALUE :1:a 0 5\r\nab", ConnectionResetError),
        (b"VALUE :1:a 0", ConnectionResetError),
        (b"VALUE :1:a 0 many\r\n", MemcacheUnknownError),
        (b"VALUE\r\n", MemcacheUnknownError),
        (b"", ConnectionResetError),
    ],
)
def test_a_server_that_speaks_another_language_is_an_error_and_is_left(
    reply: bytes, expected: type[Exception]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cache = cache_at("127.0.0.1:{1}".format(*listener.getsockname()))

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(2**16)
                client.sendall(reply)

        calls: list[Callable[[], object]] = [lambda: cache.get_many(["a"])]
        if not reply.startswith((b"SERVER_ERROR", b"VALUE")):
            calls.append(lambda: cache.set_many({"a": b"1"}, 60))
        for call in calls:
            with in_threads([answer]), pytest.raises(expected):
                call()
            assert cache._cache.nodes[0]._idle == []


def test_a_value_under_a_key_that_was_not_asked_for_is_not_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cache = cache_at("127.0.0.1:{1}".format(*listener.getsockname()))

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(2**16)
                client.sendall(b"VALUE :1:b 0 1\r\nx\r\nEND\r\n")

        with in_threads([answer]):
            assert cache.get_many(["a"]) == {}


def test_values_are_found_wherever_the_network_cuts_them() -> None:
    values = {":1:a": b"\r\nEND\r\n", ":1:b": b"", ":1:c": b"VALUE :1:d 0 1\r\nx\r\n"}
    reply = b"".join(
        b"VALUE %b 0 %d\r\n%b\r\n" % (key.encode(), len(value), value)
        for key, value in values.items()
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cache = cache_at("127.0.0.1:{1}".format(*listener.getsockname()))

        def answer() -> None:
            with listener.accept()[0] as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.recv(2**16)
                for byte in reply + b"END\r\n":
                    client.sendall(bytes([byte]))
                    time.sleep(0.0005)

        with in_threads([answer]):
            found = cache.get_many(["a", "b", "c", "d"])
    assert found == {key[3:]: value for key, value in values.items()}


@pytest.mark.parametrize(
    ("reply", "call"),
    [
        (b"END\r\nEND\r\n", lambda cache: cache.get_many(["a"])),
        (b"STORED\r\nSTORED\r\n", lambda cache: cache.set_many({"a": b"1"}, 60)),
        (b"STORED\r\nSTO", lambda cache: cache.set_many({"a": b"1"}, 60)),
    ],
)
def test_a_connection_that_brought_more_than_was_asked_for_is_not_used_again(
    reply: bytes, call: Callable[[MemcachedCache], object]
) -> None:
    checked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cache = cache_at("127.0.0.1:{1}".format(*listener.getsockname()))

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(2**16)
                client.sendall(reply)
                checked.wait(5)

        with in_threads([answer]):
            assert not call(cache)
            (connection,) = cache._cache.nodes[0]._idle
            assert not connection.is_usable()
            checked.set()
