"""A healthy cache stays in use, whatever it refuses or holds."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import caches

from fragcache import counters, get_fragment
from fragcache.events import Event
from fragcache.store import store
from tests.faults import Fault
from tests.faulty_site import FRAGMENTS, NAMES, seconds_of, site
from tests.fixtures import RoundTrips, happened, in_request
from tests.pages import SERVERS
from tests.processes import Server

pytestmark = pytest.mark.usefixtures("cards")

StartServer = Callable[[str], Server]

#: A site that has time.
UNHURRIED: dict[str, Any] = {"is_patient": True, "PAGE_BUDGET": 60}
each_server = pytest.mark.parametrize("name", SERVERS)
#: What is sent to Redis, and to Memcached, in place of a reply to each command.
ERROR_REPLIES = {
    "redis": [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-ERR max number of clients reached\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots\r\n",
        b"-NOPERM this user has no permissions to run this command\r\n",
    ],
    "memcached": [
        b"SERVER_ERROR out of memory writing get response\r\n",
        b"SERVER_ERROR out of memory storing object\r\n",
        b"SERVER_ERROR object too large for cache\r\n",
        b"ERROR Too many open connections\r\n",
    ],
}
#: How many commands a request has: as many replies are awaited.
COMMANDS = {
    "redis": re.compile(rb"\*\d+\r\n\$"),
    "memcached": re.compile(rb"^(?:gets?|set|add|cas|touch|delete) .*\r\n", re.M),
}
each_reply = pytest.mark.parametrize(
    ("name", "reply"), [(name, reply) for name in SERVERS for reply in ERROR_REPLIES[name]]
)


@each_reply
def test_an_error_reply_is_counted_and_never_stops_reads(
    name: str, reply: bytes, start_server: StartServer
) -> None:
    with site(start_server(name), **UNHURRIED) as faulty:
        for _visit in range(3):
            seconds_of("names")
        faulty.proxy.fault = Fault(instead=reply, of=COMMANDS[name])
        for _visit in range(10):
            seconds_of("names")
        assert happened(Event.CACHE_ERROR) == 10
        assert happened(Event.GUARD_OPEN) == 0

        faulty.repair()
        counters.reset()
        seconds_of("names")
        assert happened(Event.HIT) == FRAGMENTS


def refuse_memory(server: Server, client: Any) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)


def refuse_as_replica(server: Server, client: Any) -> None:
    client.replicaof("127.0.0.1", 1)


def refuse_without_snapshot(server: Server, client: Any) -> None:
    (Path(server.directory) / "dump.rdb").mkdir()
    client.config_set("save", "3600 1")
    with suppress(redis.RedisError):
        client.bgsave()
    while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
        time.sleep(0.01)


def refuse_permission(server: Server, client: Any) -> None:
    client.execute_command("ACL", "SETUSER", "default", "-@write", "-eval", "-evalsha")


@pytest.mark.parametrize(
    "refuse", [refuse_memory, refuse_as_replica, refuse_without_snapshot, refuse_permission]
)
def test_a_redis_that_refuses_writes_is_read_from(
    refuse: Callable[[Server, Any], None], start_server: StartServer
) -> None:
    server = start_server("redis")
    with site(server, is_direct=True, **UNHURRIED), redis.Redis(port=server.port) as client:
        assert get_fragment("library.named_card", NAMES[0])
        refuse(server, client)
        counters.reset()
        for name in NAMES[1:]:
            with in_request():
                assert name in get_fragment("library.named_card", name)
            with in_request():
                get_fragment("library.named_card", NAMES[0])

        assert happened(Event.RENDERED) == len(NAMES) - 1
        assert happened(Event.HIT) == len(NAMES) - 1
        assert happened(Event.GUARD_OPEN) == 0
        assert store().writes.open_since is None
    server.stop(signal.SIGKILL)  # it would not end before it could save


@each_server
def test_a_value_that_cannot_be_read_is_a_miss_and_nothing_more(
    name: str, start_server: StartServer, trips: RoundTrips
) -> None:
    with site(start_server(name), is_direct=True, **UNHURRIED):
        seconds_of("names")
        seconds_of("names")
        keys = [key for trip in trips.of("get_many") for key in trip.keys]
        for _round in range(5):
            caches["faulty"].set_many(dict.fromkeys(keys, b"fc\x01garbage"), 60)
            seconds_of("names")
        assert happened(Event.UNBELIEVED) >= FRAGMENTS
        assert happened(Event.GUARD_OPEN) == happened(Event.CACHE_ERROR) == 0


@each_server
def test_a_fragment_of_more_than_a_megabyte_is_shown_and_counted_as_refused_where_it_is(
    name: str, start_server: StartServer, declare: Any, templates: Any
) -> None:
    templates({"huge.html": "{{ text }}"})

    @declare("huge.html", name="library.huge")
    def huge(number: int) -> dict[str, Any]:
        return {"text": "x" * 1_200_000}

    with site(start_server(name), is_direct=True, **UNHURRIED):
        for _visit in range(5):
            with in_request():
                assert len(get_fragment(huge, 1)) == 1_200_000
        is_refused = name == "memcached"
        assert happened(Event.REFUSED) == (5 if is_refused else 0)
        assert happened(Event.RENDERED) == (5 if is_refused else 1)
        assert happened(Event.GUARD_OPEN) == 0
