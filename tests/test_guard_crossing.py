"""No reply reaches another question than its own: threads, forks and ASGI."""

from __future__ import annotations

import asyncio
import os
import random
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async

from fragcache import counters, get_fragments
from fragcache.events import Event
from fragcache.store import store
from tests.faults import Fault
from tests.faulty_site import ABOUT, NAMES, seconds_of, site
from tests.fixtures import happened, in_request
from tests.pages import SERVERS
from tests.processes import Server
from tests.threads import at_once

pytestmark = [
    pytest.mark.usefixtures("cards"),
    pytest.mark.no_cover,  # which would be most of the time that is measured
]

StartServer = Callable[[str], Server]

each_server = pytest.mark.parametrize("name", SERVERS)
THREADS = 8
#: Of each thread, of five instances each.
READS = 300


def read_at_random(reads: int, seed: int) -> None:
    """Read some instances at a time; each shows its own name."""
    chosen = random.Random(seed)
    for _read in range(reads):
        names = chosen.sample(NAMES, 5)
        html = get_fragments("library.named_card", names)
        assert html == [f"<b>{name}</b>{ABOUT}" for name in names]


@each_server
def test_threads_get_their_own_replies_also_of_a_server_that_is_often_late(
    name: str, start_server: StartServer
) -> None:
    """What is given up leaves a reply behind, which nobody else may get."""
    with site(start_server(name), PAGE_BUDGET=0.04) as faulty:
        seconds_of("names")
        with ThreadPoolExecutor(THREADS) as pool:
            reading = [pool.submit(read_at_random, READS, seed) for seed in range(THREADS)]
            late = Fault(latency=0.0, jitter=0.06)
            while not all(made.done() for made in reading):
                faulty.proxy.fault = late
                done = [made for made in reading if made.done()]
                store().reads.try_to_close()
                faulty.repair()
                for made in done:
                    made.result()
        assert happened(Event.HIT) > 0


@each_server
def test_threads_of_a_healthy_server(name: str, start_server: StartServer) -> None:
    with site(start_server(name), is_direct=True, is_patient=True, PAGE_BUDGET=None):
        seconds_of("names")
        at_once(lambda: read_at_random(READS, random.randrange(10**6)), THREADS)
        assert happened(Event.HIT) >= THREADS * READS * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@each_server
def test_children_of_a_process_that_has_used_its_cache(
    name: str, start_server: StartServer
) -> None:
    with site(start_server(name), is_direct=True, is_patient=True, PAGE_BUDGET=None):
        seconds_of("names")
        seconds_of("names")
        children = [forked(seed) for seed in range(4)]
        read_at_random(READS, 99)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0, 0, 0]


def forked(seed: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        counters.reset()
        read_at_random(READS, seed)
        code = 0 if happened(Event.HIT) == 5 * READS else 2
    finally:
        os._exit(code)


@each_server
def test_coroutines(name: str, start_server: StartServer) -> None:
    with site(start_server(name), is_direct=True, is_patient=True, PAGE_BUDGET=None):
        seconds_of("names")

        def read(seed: int) -> None:
            with in_request():
                read_at_random(20, seed)

        async def visits() -> None:
            visit = sync_to_async(read, thread_sensitive=False)
            await asyncio.gather(*(visit(seed) for seed in range(20)))

        asyncio.run(visits())
        assert happened(Event.CACHE_ERROR) == 0
