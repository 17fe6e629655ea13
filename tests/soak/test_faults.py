"""Minutes of faults under load: no error page, nothing that grows, hits again soon after each."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client

from fragcache import counters
from fragcache.events import Event
from tests.backends import freeze
from tests.faults import HALF_CLOSE, NARROW, RESET, SILENCE, SLOW, TRICKLE
from tests.faulty_site import FRAGMENTS, Faulty, seconds_of, site
from tests.fixtures import happened
from tests.pages import SERVERS
from tests.processes import Server
from tests.test_guard_crossing import read_at_random
from tests.threads import at_once

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("cards")]

StartServer = Callable[[str], Server]

SECONDS = float(os.environ.get("FRAGCACHE_SOAK_SECONDS", "1800"))
SEED = int(os.environ.get("FRAGCACHE_SOAK_SEED", str(random.randrange(10**6))))
VISITORS = 4
#: Seconds after a fault in which pages must come from the cache again.
RECOVERY = 10
#: What a process may have grown by from its second quarter to its last, at the median.
MORE_MEGABYTES, MORE_FILES = 15, 10
#: In all, of A11.
READS = 1_000_000
FAULTS: dict[str, Callable[[Faulty], None]] = {
    "frozen": lambda faulty: freeze(faulty.server),
    "killed": lambda faulty: faulty.server.stop(signal.SIGKILL),
    **{
        name: lambda faulty, fault=fault: setattr(faulty.proxy, "fault", fault)  # type: ignore[misc]
        for name, fault in {
            "silent": SILENCE,
            "reset": RESET,
            "half-closed": HALF_CLOSE,
            "slow": SLOW,
            "trickling": TRICKLE,
            "narrow": NARROW,
        }.items()
    },
}


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is logged: pytest keeps every record, with all that its exceptions hold."""
    monkeypatch.setattr(logging.getLogger("fragcache"), "disabled", True)


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("name", SERVERS)
def test_faults_under_load(name: str, start_server: StartServer) -> None:
    chosen = random.Random(SEED)
    slowest: dict[str, float] = {}
    with site(start_server(name)) as faulty, visitors() as visits:
        end = time.monotonic() + SECONDS / len(SERVERS)
        taken: list[tuple[float, int]] = []
        while time.monotonic() < end:
            kind = chosen.choice(list(FAULTS))
            FAULTS[kind](faulty)
            time.sleep(chosen.uniform(0.1, 6))
            faulty.repair()
            slowest[kind] = max(slowest.get(kind, 0), seconds_until_hits())
            time.sleep(chosen.uniform(0, 1))
            taken.append(resources())
    for kind, seconds in sorted(slowest.items()):
        print(f"{name}, {kind}: hits again within {seconds:.1f} s")
    quarter = len(taken) // 4
    # At single moments, as when the server was killed, no connections are open.
    megabytes, files = zip(
        *(
            map(statistics.median, zip(*part, strict=True))
            for part in (taken[quarter : 2 * quarter], taken[-quarter:])
        ),
        strict=True,
    )
    print(
        f"{name}, seed {SEED}: {len(taken)} faults, {len(visits)} pages, {megabytes[0]:.0f} to "
        f"{megabytes[1]:.0f} MB, {files[0]:.0f} to {files[1]:.0f} open files"
    )
    assert max(slowest.values()) < RECOVERY
    assert megabytes[1] - megabytes[0] < MORE_MEGABYTES
    assert files[1] - files[0] <= MORE_FILES


@contextmanager
def visitors() -> Iterator[list[float]]:
    """Pages are visited by some threads within the block; each must be right."""
    is_over = threading.Event()
    visits: list[float] = []
    failures: list[BaseException] = []

    def visit() -> None:
        client = Client()
        while not is_over.wait(0.02):
            try:
                visits.append(seconds_of("names", client))
            except BaseException as error:  # noqa: BLE001 - raised in the test
                failures.append(error)
                return

    threads = [threading.Thread(target=visit) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    try:
        yield visits
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def seconds_until_hits() -> float:
    """Return how long it takes until what visitors see comes from the cache."""
    began = time.monotonic()
    while time.monotonic() < began + 2 * RECOVERY:
        counters.reset()
        time.sleep(0.2)
        if happened(Event.HIT) >= FRAGMENTS and happened(Event.HIT) > 9 * happened(Event.MISSING):
            break
    return time.monotonic() - began


def resources() -> tuple[float, int]:
    """Return the megabytes that are in use, and the number of open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("name", SERVERS)
def test_a_frozen_cache_leaves_nine_tenths_of_what_pages_without_one_reach(
    name: str, start_server: StartServer
) -> None:
    server = start_server(name)
    ratios = []
    for _attempt in range(3):
        with site(server, is_direct=True, ENABLED=False):
            without = pages_in(5)
        with site(server, is_direct=True) as faulty:
            seconds_of("names")
            FAULTS["frozen"](faulty)
            ratios.append(pages_in(5) / without)
            faulty.repair()
    print(f"{name}: {ratios}")
    assert max(ratios) >= 0.9


def pages_in(seconds: float) -> int:
    end = time.monotonic() + seconds

    def visit() -> int:
        client, visits = Client(), 0
        while time.monotonic() < end:
            seconds_of("names", client)
            visits += 1
        return visits

    return sum(at_once(visit, 8))


@pytest.mark.parametrize("name", SERVERS)
def test_a_restart_of_five_seconds_is_over_in_six(name: str, start_server: StartServer) -> None:
    server = start_server(name)
    with site(server, is_direct=True), visitors():
        time.sleep(0.5)
        server.stop(signal.SIGKILL)
        time.sleep(5)
        server.start()
        seconds = seconds_until_hits()
    print(f"{name}: hits again {seconds:.1f} s after the server")
    assert seconds <= 6


@pytest.mark.parametrize("name", SERVERS)
def test_a_million_replies_reach_their_own_questions(name: str, start_server: StartServer) -> None:
    with site(start_server(name), is_direct=True, PAGE_BUDGET=None):
        at_once(lambda: read_at_random(READS // 8 // 5, random.randrange(10**6)), 8)
