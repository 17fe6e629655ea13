"""40,000 instances in four workers: each is rendered and stored once, also when a worker dies."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distributed_site import PATIENCE, WORKERS, Site, wait_until

INSTANCES = 40_000
SIZE = 500
#: A passage in the middle of a batch; the worker that is given it first is killed there.
FATAL = 20_250


@pytest.fixture
def site(
    request: pytest.FixtureRequest, postgresql_url: str, start_server: Any, tmp_path: Path
) -> Iterator[Site]:
    site = Site(request.param, postgresql_url, start_server("redis").address, tmp_path)
    yield site
    site.close()


@pytest.mark.parametrize("site", ["tasks", "celery"], indirect=True)
def test_all_are_stored_once_although_a_worker_is_killed(site: Site) -> None:
    site.fill(INSTANCES)
    site.environment["ANTHOLOGY_STALL"] = str(FATAL)
    site.start_workers()

    run = site.warm("--enqueue", "--wait", str(PATIENCE), "--json", "--batch-size", str(SIZE))
    wait_until(Path(f"{site.log}.stalled").exists)
    [killed] = [pid for pk, pid in site.rendered() if pk == FATAL]
    os.kill(killed, signal.SIGKILL)
    out, err = run.communicate(timeout=PATIENCE)

    assert run.returncode == 0, err + site.said()
    document = json.loads(out)
    assert document["status"] == "ok"
    counts = {"planned": INSTANCES, "rendered": INSTANCES, "stored": INSTANCES}
    zeros = {"fresh": 0, "refused": 0, "failed": 0}
    assert document["totals"].items() >= (counts | zeros).items()
    assert site.entries() == INSTANCES

    rendered = list(site.rendered().elements())
    times = Counter(pk for pk, _pid in rendered)
    first = FATAL - (FATAL - 1) % SIZE
    lost = range(first, first + SIZE)
    assert times == {pk: 2 if pk in lost else 1 for pk in range(1, INSTANCES + 1)}
    assert {pid for pk, pid in rendered if pk in lost} > {killed}
    assert len({pid for _pk, pid in rendered}) >= WORKERS
