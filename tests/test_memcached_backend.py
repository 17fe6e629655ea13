"""The Memcached backend on real servers: time-outs, refusals, restarts, fleets, the admin block."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import InvalidCacheKey, caches
from django.core.exceptions import ImproperlyConfigured
from django.template.loader import render_to_string
from django.test import RequestFactory
from pymemcache.exceptions import (
    MemcacheServerError,
)

from fragcache.backends.memcached import MemcachedCache
from fragcache.backends.memcached_client import expiry
from fragcache.backends.memcached_fleet import Fleet
from fragcache.testing.advancing import sealed
from tests.backends import freeze, new_cache
from tests.processes import Server
from tests.stopwatch import Stopwatch
from tests.threads import awaited_threads

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


def test_timeouts_are_set_unless_options_say_otherwise(memcached_address: str) -> None:
    for options, expected in ({}, (0.25, 0.5)), ({"timeout": 2, "connect_timeout": 1}, (1, 2)):
        connection = cache_at(memcached_address, **options)._cache.nodes[0].borrow()
        connection.close()
        assert (connection.connect_timeout, connection.timeout) == expected
        assert connection.no_delay


def test_an_unknown_option_is_refused_with_those_there_are(memcached_address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"OPTIONS\['serde'\] is none of.*connect_time"):
        cache_at(memcached_address, serde="pickle")


@pytest.mark.parametrize("location", ["127.0.0.1:x", ["127.0.0.1:11211", "127.0.0.1:"]])
def test_a_location_that_is_no_address_is_refused(location: str | list[str]) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^LOCATION names '127\.0\.0\.1:x?', which is"):
        MemcachedCache(location, {})


def test_a_value_that_the_server_refuses_is_named_alone(memcached_address: str) -> None:
    cache = cache_at(memcached_address, max_value_bytes=2**22)
    large = {"small": b"1", "large": b"x" * 2**21, "other": b"2"}
    cache.set_many({"large": b"former"}, 60)
    assert cache.set_many(large, 60) == ["large"]
    assert cache.get_many(list(large)) == {"small": b"1", "other": b"2"}
    with pytest.raises(MemcacheServerError, match="object too large for cache"):
        cache.add_many({"large": large["large"]}, 60)


def test_the_largest_value_that_is_sent_is_accepted(memcached_address: str) -> None:
    cache = cache_at(memcached_address)
    assert cache.max_value_bytes is not None
    assert cache.set_many({"k" * 200: b"x" * cache.max_value_bytes}, 60) == []


@pytest.mark.parametrize("key", ["a b", "a\nb", "a\tb", "a\0b", "k" * 251, "é" * 130, " "])
def test_a_key_that_memcached_would_take_for_another_is_refused(
    key: str, memcached_address: str
) -> None:
    cache = cache_at(memcached_address)
    cache.key_func = lambda key, prefix, version: key
    for call in (cache.get, cache.delete, lambda key: cache.set(key, b"1")):
        with pytest.raises(InvalidCacheKey):
            call(key)
    with pytest.raises(InvalidCacheKey):
        cache.get_many(["fine", key])


def test_keys_of_other_alphabets_are_fine(memcached_address: str) -> None:
    cache = cache_at(memcached_address)
    values = {"été": b"1", "日本語": b"2", "\xa0": b"3"}
    assert cache.set_many(values, 60) == []
    assert cache.get_many(list(values)) == values


def test_a_timeout_of_more_than_thirty_days_is_no_date(memcached_address: str) -> None:
    cache = cache_at(memcached_address)
    cache.set_many({"long": b"1"}, 40 * 24 * 3600)
    assert cache.get("long") == b"1"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, 0), (0, -1), (-5, -1), (0.2, 2), (1, 2), (60, 61)]
)
def test_a_second_is_added_since_memcached_counts_whole_ones_by_its_own_clock(
    seconds: float | None, expected: int
) -> None:
    assert expiry(seconds) == expected


def test_a_pickle_of_another_backend_comes_back_as_bytes(
    memcached_address: str, settings: Any
) -> None:
    settings.CACHES = settings.CACHES | {
        "pickling": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": memcached_address,
        }
    }
    caches["pickling"].set("pickled", {"a": (1, 2)}, 60)
    assert pickle.loads(cache_at(memcached_address).get("pickled")) == {"a": (1, 2)}


def test_a_value_that_cannot_be_read_is_absent(memcached_address: str) -> None:
    cache = cache_at(memcached_address)
    connection = cache._cache.nodes[0].borrow()
    connection.set(cache.make_key("bad"), b"\x00j{", 60)
    connection.close()
    assert cache.get("bad", "default") == "default"


def test_figures_of_a_server_that_does_not_answer_are_a_text_within_a_second(
    server: Server,
) -> None:
    cache = cache_at(f"{server.address};127.0.0.1:1", timeout=30)
    freeze(server)
    with awaited_threads():
        with Stopwatch() as watch:
            frozen, dead = cache.server_stats()
        server.thaw()
    assert watch.seconds < 1.5
    assert frozen.error == "No answer within 0.9 s."
    assert dead.error.startswith("ConnectionRefusedError")
    gc.collect()


@pytest.fixture
def admin_block(settings: Any, tmp_path: Path, rf: RequestFactory) -> Callable[[str], str]:
    """A function that renders what django-memcache-status shows of a location."""

    def render(location: str) -> str:
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "memcache_status"]
        settings.CACHES = {
            "default": {
                "BACKEND": "fragcache.backends.embedded.EmbeddedCache",
                "LOCATION": str(tmp_path / "has no figures for it"),
            },
            "fragments": {
                "BACKEND": "fragcache.backends.memcached.MemcachedCache",
                "LOCATION": location,
            },
        }
        request: Any = rf.get("/admin/")
        request.user = SimpleNamespace(is_superuser=True)
        return render_to_string("memcache_status/memcache_status.html", request=request)

    return render


def test_django_memcache_status_shows_the_servers(
    admin_block: Callable[[str], str], memcached_address: str
) -> None:
    block = admin_block(memcached_address)
    for shown in ("<strong>fragments</strong>", memcached_address, "Miss Ratio", "Curr Items"):
        assert shown in block


def test_django_memcache_status_shows_a_dead_server_as_such(
    admin_block: Callable[[str], str],
) -> None:
    block = admin_block("127.0.0.1:1")
    assert "127.0.0.1:1" in block
    assert "ConnectionRefusedError" in block


def test_clearing_leaves_nothing(server: Server) -> None:
    cache = cache_at(server.address)
    cache.set_many({"a": b"1", "b": b"2"}, 60)
    cache.clear()
    assert cache.get_many(["a", "b"]) == {}
