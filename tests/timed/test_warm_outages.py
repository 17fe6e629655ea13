"""A run of several processes whose cache goes away, or one of which is killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.backends import freeze
from tests.shop import NUMBERS
from tests.stopwatch import Stopwatch
from tests.test_warm_parallel import assert_gone, rendered
from tests.test_warm_processes import Shop, open_shop, shop  # noqa: F401 - fixtures

BATCH = 2
PARALLEL = ("--parallel", "2", "--batch-size", str(BATCH))
#: Seconds after which a run must have noticed that its cache is gone.
BOUND = 5


@pytest.mark.parametrize(("number", "way"), [("1", "frozen"), ("2", "killed"), ("2", "frozen")])
@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_75_within_5_seconds_when_the_cache_goes_away_half_way(
    open_shop: Any, start_server: Any, tmp_path: Path, backend: str, way: str, number: str
) -> None:
    server = start_server(backend)
    log = tmp_path / "log"
    site: Shop = open_shop(backend, server.address)
    process = site.start_slowly(*PARALLEL, "--parallel", number, SHOP_LOG=str(log))
    if way == "killed":
        server.stop(signal.SIGKILL)
    else:
        freeze(server)
    with Stopwatch() as watch:
        code = process.wait()

    assert watch.seconds < BOUND
    assert code == 75
    assert process.err.splitlines()[-1].startswith("CommandError: The cache is unavailable: ")
    assert "Traceback" not in process.err
    assert process.document["status"] == "unavailable"
    done = {n for n, _process in rendered(log)}
    assert BATCH <= process.offers["stored"] <= len(done) < NUMBERS
    assert_gone({worker for _number, worker in rendered(log)})


@pytest.mark.parametrize("shop", ["redis"], indirect=True)
@pytest.mark.parametrize(("victim", "moment"), [("parent", 0.15), ("worker", 0.1)])
def test_a_kill_repeats_at_most_the_batches_at_hand(
    shop: Shop,
    tmp_path: Path,
    victim: str,
    moment: float,
) -> None:
    log = tmp_path / "log"
    life = "0.5" if victim == "parent" else "20"
    process = shop.start_slowly(*PARALLEL, SHOP_LOG=str(log), SHOP_LOCK_LIFE=life)
    time.sleep(moment)
    workers = {worker for _number, worker in rendered(log)}
    if victim == "parent":
        process.end(signal.SIGKILL)
        assert_gone(workers)
        code, run = shop.run("shop.offer", "--json", "--wait", "20", SHOP_LOG=str(log))
    else:
        os.kill(min(workers), signal.SIGKILL)
        code, run = process.wait(), process
    assert (code, run.document["status"]) == (0, "ok")
    assert run.offers.get("fresh", 0) + run.offers["stored"] == run.offers["planned"] == NUMBERS

    times = Counter(number for number, _process in rendered(log))
    assert set(times) == set(range(NUMBERS))
    assert max(times.values()) <= 2
    assert sum(n - 1 for n in times.values()) <= 2 * BATCH, "each process has one at hand"
    assert shop.run("shop.offer", "--check")[0] == 0
