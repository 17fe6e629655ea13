"""``warm_fragments --parallel``: several processes, one of which may die."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fragcache import manifest
from fragcache.store import store
from tests.shop import NUMBERS, SECRET_KEY
from tests.test_warm_processes import Process, Shop, open_shop, shop  # noqa: F401 - fixtures

pytestmark = pytest.mark.parametrize("shop", ["redis"], indirect=True)
#: What is left is seen by one process, which starts sooner.
ALONE = ("shop.offer", "--json")
PARALLEL = (*ALONE, "--parallel", "2", "--batch-size", "2")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def rendered(log: Path) -> list[tuple[int, int]]:
    """Return (number, process) of each render."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(map(int, line.split())) for line in lines]  # type: ignore[misc]


def is_published(shop: Shop, settings: Any) -> bool:
    """Whether targets are told of the offers."""
    settings.CACHES = settings.CACHES | {"shop": shop.cache}
    settings.FRAGCACHE = {"CACHE_ALIAS": "shop", "SECRET_KEYS": [SECRET_KEY]}
    return manifest.find(store(), "shop.offer") is not None


def test_processes_share_the_work_and_each_instance_is_rendered_once(
    shop: Shop,
    log: Path,
) -> None:
    code, run = shop.run(*PARALLEL, SHOP_LOG=str(log), SHOP_SECONDS="0.05")

    assert (code, run.err) == (0, "")
    assert run.offers == {"planned": NUMBERS, "rendered": NUMBERS, "stored": NUMBERS}
    done = rendered(log)
    assert sorted(number for number, _process in done) == list(range(NUMBERS))
    assert len({process for _number, process in done}) == 2
    assert run.popen.pid not in {process for _number, process in done}
    code, again = shop.run(*ALONE)
    assert again.offers == {"planned": NUMBERS, "fresh": NUMBERS}


def test_processes_share_the_work_of_contexts(shop: Shop, log: Path) -> None:
    told = {"SHOP_PUBLISH": "both", "SHOP_LOG": str(log)}
    code, run = shop.run(*PARALLEL, **told)

    assert (code, run.err) == (0, "")
    number = 2 * NUMBERS
    assert run.offers == {"planned": number, "rendered": number, "stored": number}
    both = sorted([*range(NUMBERS), *range(NUMBERS)])
    assert sorted(one for one, _process in rendered(log)) == both
    code, again = shop.run(*ALONE, **told)
    assert again.offers == {"planned": number, "fresh": number}


def test_the_instance_that_kills_its_process_is_named_and_the_run_goes_on(
    shop: Shop, log: Path, settings: Any
) -> None:
    told = {"SHOP_LOG": str(log), "SHOP_KILLER": "0"}
    code, run = shop.run(*PARALLEL, "--batch-size", "4", **told)

    assert code == 1
    assert "shop.offer(0) failed: WorkerDied: the process that rendered it died" in run.err
    assert run.document["status"] == "failed"
    assert run.offers["planned"] == NUMBERS
    assert run.offers["failed"] == 1
    assert is_published(shop, settings), "every instance was walked"
    code, rest = shop.run(*ALONE)
    assert rest.offers == {"planned": NUMBERS, "fresh": NUMBERS - 1, "rendered": 1, "stored": 1}


def test_an_instance_that_fails_is_named_and_the_others_are_stored(shop: Shop) -> None:
    code, run = shop.run(*PARALLEL, SHOP_POISON="7")

    assert code == 1
    assert "shop.offer(7) failed: ValueError: no such offer" in run.err
    assert run.offers == {
        "planned": NUMBERS,
        "rendered": NUMBERS - 1,
        "stored": NUMBERS - 1,
        "failed": 1,
    }


def test_what_died_with_its_process_uses_up_no_limit_and_is_planned_once(shop: Shop) -> None:
    some = ("--items", "5", "6", "7", "8")
    shop.run(*ALONE, *some)
    again = ("--force", "--time-budget", "60", "--limit", "4")  # what is fresh comes last
    code, run = shop.run(*PARALLEL, *some, *again, SHOP_KILLER="7")

    assert code == 1
    assert run.offers == {"planned": 4, "rendered": 3, "stored": 3, "failed": 1}


def test_a_signal_ends_the_search_for_the_instance_that_kills(shop: Shop, log: Path) -> None:
    slow = {"SHOP_LOG": str(log), "SHOP_SECONDS": "0.05", "SHOP_KILLER": str(NUMBERS - 1)}
    process = Process(shop.start("shop.offer", "--json", "--parallel", "2", **slow))
    while (0, 2) not in Counter(number for number, _process in rendered(log)).items():
        assert process.popen.poll() is None
        time.sleep(0.01)
    code = process.end(signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert process.document["status"] == "interrupted"
    assert "WorkerDied" not in process.err


@pytest.mark.parametrize("limit", [0, 7])
def test_all_processes_together_keep_the_limit(shop: Shop, log: Path, limit: int) -> None:
    code, run = shop.run(*PARALLEL, "--limit", str(limit), SHOP_LOG=str(log))

    assert code == 0
    assert len(rendered(log)) == run.offers.get("rendered", 0) == limit
    assert run.document["status"] == "incomplete"


def test_a_dry_run_stores_nothing_and_names_what_is_due(shop: Shop) -> None:
    code, run = shop.run(*PARALLEL, "--dry-run", "-v2")

    assert code == 0
    named = Counter(line for line in run.err.splitlines() if line.startswith("shop.offer("))
    assert named == Counter(f"shop.offer({number})" for number in range(NUMBERS))
    _code, rest = shop.run(*ALONE)
    assert rest.offers["stored"] == NUMBERS


def test_a_signal_ends_the_run_after_what_was_begun(shop: Shop, log: Path) -> None:
    process = shop.start_slowly("--parallel", "2", "--batch-size", "2", SHOP_LOG=str(log))
    code = process.end(signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert process.document["status"] == "interrupted"
    assert process.offers["stored"] == len(rendered(log)) < NUMBERS
    assert_gone({worker for _number, worker in rendered(log)})
    code, rest = shop.run(*ALONE)
    assert rest.offers["fresh"] == process.offers["stored"]


def test_the_processes_end_with_a_run_that_is_killed(shop: Shop, log: Path) -> None:
    process = shop.start_slowly("--parallel", "2", "--batch-size", "2", SHOP_LOG=str(log))
    process.end(signal.SIGKILL)
    assert_gone({worker for _number, worker in rendered(log)})


def test_all_processes_together_keep_the_rate_and_leave_it_for_a_signal(
    shop: Shop, log: Path
) -> None:
    options = ("--parallel", "2", "--batch-size", "10", "--max-rate", "2")
    process = Process(shop.start("shop.offer", "--json", *options, SHOP_LOG=str(log)))
    while len(rendered(log)) < 2:
        time.sleep(0.05)
    begun = time.monotonic()
    time.sleep(1.5)
    # Of 2 a second, and what was about to begin.
    assert len(rendered(log)) <= 2 + 2 * (time.monotonic() - begun) + 2
    began = time.monotonic()
    code = process.end(signal.SIGTERM)

    assert time.monotonic() - began < 5
    assert (code, process.document["status"]) == (128 + signal.SIGTERM, "interrupted")
    assert process.offers["stored"] == len(rendered(log)) < NUMBERS


def test_all_processes_end_when_the_time_budget_is_used_up(shop: Shop, log: Path) -> None:
    code, run = shop.run(*PARALLEL, "--time-budget", "1.5", SHOP_SECONDS="0.5", SHOP_LOG=str(log))
    assert (code, run.document["status"]) == (0, "incomplete")
    assert run.offers.get("stored", 0) == len(rendered(log)) < NUMBERS
    assert "The time budget of 1.5 s is used up." in run.err


def test_what_is_missing_comes_before_what_is_stale(shop: Shop, log: Path) -> None:
    shop.run(*ALONE, "--limit", "5")
    code, run = shop.run(*PARALLEL, "--time-budget", "60", SHOP_LOG=str(log))

    assert (code, run.document["status"]) == (0, "ok")
    assert run.offers == {
        "planned": NUMBERS,
        "fresh": 5,
        "rendered": NUMBERS - 5,
        "stored": NUMBERS - 5,
    }


@pytest.mark.parametrize("value", ["0", "two"])
def test_a_number_of_processes_that_is_none_is_refused(shop: Shop, value: str) -> None:
    code, run = shop.run("--parallel", value)
    assert code == 2
    assert f"argument --parallel: '{value}' is not a number of 1 or more" in run.err


def assert_gone(processes: set[int]) -> None:
    assert processes
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < deadline, processes
        time.sleep(0.05)
