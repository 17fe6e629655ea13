"""Promise T5: what was invalidated stays so, whichever nodes of a fleet were away and came back.

A token has three copies on three Memcached servers; each combination of them is lost in each way.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from fragcache import (
    CacheUnavailable,
    Fragment,
    get_fragment,
    invalidate,
    invalidate_all,
    token_copies,
    tokens,
)
from fragcache.backends.memcached_fleet import Fleet
from fragcache.events import Event
from fragcache.records import Token
from fragcache.store import store
from fragcache.token_memory import TokenName
from tests.backends import freeze
from tests.fixtures import elsewhere, happened, local_settings
from tests.processes import Server

pytestmark = [pytest.mark.server("memcached"), pytest.mark.without_local_cache]

#: Seconds that a server is left alone after it has not answered, and is waited for.
DEAD, TIMEOUT = 0.1, 0.25
NODES = range(3)
SOME = [c for size in (1, 2, 3) for c in itertools.combinations(NODES, size)]
NAMES = {
    invalidate_all: TokenName("library.greeting"),
    invalidate: TokenName("library.greeting", "s3:you"),
}


@pytest.fixture
def fleet(
    request: pytest.FixtureRequest, start_server: Callable[[str], Server], settings: Any
) -> Iterator[list[Server]]:
    servers = [start_server("memcached") for _ in NODES]
    cache = {
        "BACKEND": "fragcache.backends.memcached.MemcachedCache",
        "LOCATION": [server.address for server in servers],
        "OPTIONS": {"dead_timeout": DEAD, "timeout": TIMEOUT, "connect_timeout": TIMEOUT},
    }
    settings.CACHES = {**settings.CACHES, "fleet": cache}
    settings.FRAGCACHE = {"CACHE_ALIAS": "fleet", **local_settings(request)}
    yield servers
    for server in servers:
        with suppress(OSError):
            server.thaw()
    Fleet.close_all()


class Frozen:
    """They return with what they had."""

    @staticmethod
    def leave(server: Server) -> None:
        freeze(server)

    @staticmethod
    def come_back(server: Server) -> None:
        server.thaw()


class Restarted:
    """They return with nothing."""

    @staticmethod
    def leave(server: Server) -> None:
        server.stop()

    @staticmethod
    def come_back(server: Server) -> None:
        server.start()


@pytest.mark.parametrize(
    ("how", "change"),
    [(Frozen, invalidate_all), (Frozen, invalidate), (Restarted, invalidate_all)],
    ids=lambda given: given.__name__,
)
@pytest.mark.parametrize("away", SOME, ids=str)
def test_an_invalidated_entry_is_never_fresh_again(
    fleet: list[Server],
    greeting: Fragment,
    renders: list[str],
    how: Any,
    change: Any,
    away: Sequence[int],
) -> None:
    holders = [holder_of(fleet, key) for key in keys(change)]
    assert {server.address for server in holders} == {server.address for server in fleet}
    show()
    former = current(change)
    args = ("you",) if change is invalidate else ()

    for copy in away:
        how.leave(holders[copy])
    if len(away) == len(NODES):  # nobody can be told, and so it is not kept quiet
        with elsewhere(), pytest.raises(CacheUnavailable):
            change(greeting, *args)
    else:
        with elsewhere():
            change(greeting, *args)
            assert current(change) != former
    for copy in away:
        how.come_back(holders[copy])
    time.sleep(1.5 * DEAD)

    if len(away) == len(NODES):
        with elsewhere():
            change(greeting, *args)
    # Another process, which knows nothing but what the servers hold.
    with elsewhere():
        latest = current(change)
        assert latest != former
        assert copies(change) == [latest] * 3, "gaps are filled, and what is lower is replaced"
        renders.clear()
        show()
        assert renders == ["you"]
    for lost in itertools.combinations(NODES, 2):  # by now any one copy is enough
        for copy in lost:
            store().delete_many([keys(change)[copy]])
        with elsewhere():
            assert current(change) == latest


def test_pages_go_on_meanwhile(fleet: list[Server], greeting: Fragment) -> None:
    """With one of three servers frozen, a page costs one time-out and no error."""
    show()
    freeze(holder_of(fleet, keys(invalidate_all)[0]))
    for _page in range(3):
        with elsewhere():
            show()
    assert happened(Event.GUARD_OPEN) == 0


def show() -> None:
    assert get_fragment("library.greeting", "you") == "Hello you"


def keys(change: Any) -> list[str]:
    name = NAMES[change]
    return token_copies.keys_of(store(), [name])[name]


def current(change: Any) -> Token:
    return tokens.read(store(), [NAMES[change]]).current[NAMES[change]]


def copies(change: Any) -> list[Token | None]:
    found = store().read_many(keys(change))
    return [Token.from_entry(found[key]) if key in found else None for key in keys(change)]


def holder_of(fleet: list[Server], key: str) -> Server:
    backend: Any = store().backend
    address = backend._cache.node_of(backend.make_key(key).encode()).address
    return next(server for server in fleet if server.address == address)
