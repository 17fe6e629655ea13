"""Caches behind TLS: pages keep to their budget as they do without it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings

from fragcache import counters
from fragcache.events import Event
from fragcache.store import store
from tests.faults import SILENCE, TRICKLE, Fault, Proxy
from tests.faulty_site import (
    BUDGET,
    FIRST_PAGE,
    FRAGMENTS,
    LATER_PAGES,
    seconds_of,
    uncached_seconds,
)
from tests.fixtures import happened
from tests.pages import SERVERS
from tests.processes import Server
from tests.tls import TLSRelay, encrypted_at

pytestmark = [
    pytest.mark.usefixtures("cards"),
    pytest.mark.no_cover,  # which would be most of the time that is measured
]

each_server = pytest.mark.parametrize("name", SERVERS)
#: How often a time is measured before it is believed to be too long: the machine is others' too.
ATTEMPTS = 4
#: Seconds in which redis-py reads certificates for each connection; this one and a probe's.
CONTEXT = 0.1


@pytest.fixture
def proxy(
    name: str, start_server: Callable[[str], Server], tmp_path: Path, settings: Any
) -> Iterator[Proxy]:
    """What stands between the site and the TLS of its cache."""
    server = start_server(name)
    with TLSRelay(f"127.0.0.1:{server.port}", tmp_path) as relay, Proxy(relay.address) as proxy:
        backend = settings.CACHES[name]["BACKEND"]
        cache = {"BACKEND": backend, **encrypted_at(name, proxy.address, relay.authority)}
        with override_settings(
            CACHES={**settings.CACHES, "encrypted": cache},
            FRAGCACHE={"CACHE_ALIAS": "encrypted", "LOCAL_MAX_BYTES": 0},
            ROOT_URLCONF="tests.faulty_site",
        ):
            yield proxy
            store().reads.close()
            store().writes.close()
            caches.close_all()


@each_server
def test_pages_come_from_it(proxy: Proxy) -> None:
    until_it_hits(proxy)
    assert happened(Event.CACHE_ERROR) == 0


@each_server
@pytest.mark.parametrize("fault", [SILENCE, TRICKLE], ids=["silent", "trickling"])
def test_one_that_breaks_costs_the_first_page_its_budget_and_later_ones_nothing(
    proxy: Proxy, fault: Fault
) -> None:
    for _attempt in range(ATTEMPTS):
        usual = 2 * uncached_seconds("names")
        until_it_hits(proxy)
        proxy.fault = fault
        first = seconds_of("names")
        later = statistics.median(seconds_of("names") for _ in range(10))
        assert happened(Event.GUARD_OPEN) > 0
        if first <= FIRST_PAGE + usual and later <= LATER_PAGES + usual:
            return
    pytest.fail(f"{first:.3f} s and then {later:.4f} s; twice without cache {usual:.4f} s")


@each_server
def test_a_handshake_that_hangs_takes_no_longer(name: str, proxy: Proxy) -> None:
    usual = 2 * uncached_seconds("names") + CONTEXT
    proxy.fault = SILENCE
    taken = []
    for _attempt in range(ATTEMPTS):
        store().reads.close()
        taken.append(seconds_of("names"))
    assert BUDGET / 2 < min(taken) <= FIRST_PAGE + usual


def until_it_hits(proxy: Proxy) -> None:
    proxy.fault = Fault()
    store().reads.close()
    store().writes.close()
    end = time.monotonic() + 10
    while True:
        counters.reset()
        seconds_of("names")
        if happened(Event.HIT) == FRAGMENTS:
            return
        assert time.monotonic() < end
