"""The admin's page of servers when some hang: all are told of within a second."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.admin_pages import address, text_of
from tests.admin_site import staff
from tests.backends import freeze
from tests.stopwatch import Stopwatch
from tests.threads import awaited_threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_site")]


def test_servers_that_hang_are_unreachable_within_a_second_all_together(
    settings: Any, start_server: Any, declare: Any, redis_url: str
) -> None:
    redis, memcached = start_server("redis"), start_server("memcached")
    slow = {"SOCKET_TIMEOUT": 30, "SOCKET_CONNECT_TIMEOUT": 30}
    settings.CACHES = {
        "default": {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": redis_url},
        "frozen": {
            "BACKEND": "fragcache.backends.redis.RedisCache",
            "LOCATION": redis.address,
            "OPTIONS": slow,
        },
        "fleet": {
            "BACKEND": "fragcache.backends.memcached.MemcachedCache",
            "LOCATION": [memcached.address, "127.0.0.1:1"],
            "OPTIONS": {"timeout": 30, "connect_timeout": 30},
        },
    }
    settings.FRAGCACHE = {"CACHE_ALIAS": "default"}
    for alias in ("frozen", "fleet"):
        declare("x.html", name=f"library.{alias}", using=alias)(dict)
    client = staff("view_fragmentcache")
    client.get(address("servers"))  # which compiles its templates
    with Stopwatch() as usual:
        client.get(address("servers"))
    freeze(redis)
    freeze(memcached)
    with awaited_threads():
        with Stopwatch() as watch:
            said = text_of(client.get(address("servers")))
        redis.thaw()
        memcached.thaw()
    assert watch.seconds < 1.2 + usual.elapsed
    assert said.count("unreachable : No answer within 0.9 s.") == 2
    assert "127.0.0.1:1 unreachable : Connection" in said
    assert said.count("answers") == 1
    gc.collect()
