"""``warm_fragments`` as a process: signals, kills, terminals, a cache that goes away."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fragcache.store import store
from fragcache.warming import Locked, WarmingLock
from tests.plugin import BY_NAME, require
from tests.shop import NUMBERS, SECRET_KEY, SLOW_FROM

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30
#: Seconds that each render of a slow run takes, but for those of its first batch.
SLOW = 0.1
BATCH = SLOW_FROM

BACKENDS = {
    "redis": "fragcache.backends.redis.RedisCache",
    "memcached": "fragcache.backends.memcached.MemcachedCache",
    "embedded": "fragcache.backends.embedded.EmbeddedCache",
}


class Process:
    """A run; what it says is in ``out`` and ``err`` once it has ended."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.out = self.err = ""
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self._lines.append(line)

    def wait_for(self, text: str) -> None:
        """Return when it has said so on stderr."""
        deadline = time.monotonic() + PATIENCE
        while not any(text in line for line in list(self._lines)):
            assert time.monotonic() < deadline, self._lines
            assert self.popen.poll() is None or self._reader.is_alive(), self._lines
            time.sleep(0.002)

    def wait(self) -> int:
        """Return its exit code."""
        assert self.popen.stdout is not None
        self.out = self.popen.stdout.read()
        self._reader.join(PATIENCE)
        code = self.popen.wait(PATIENCE)
        self.err = "".join(self._lines)
        return code

    def end(self, how: signal.Signals) -> int:
        self.popen.send_signal(how)
        return self.wait()

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def offers(self) -> dict[str, int]:
        """What is not zero of the counts of the slow fragment."""
        counts = self.document["fragments"]["shop.offer"]
        return {word: n for word, n in counts.items() if n and word != "seconds"}


class Shop:
    """The site in tests/shop, over one cache and under a prefix of its own."""

    def __init__(self, backend: str, location: str) -> None:
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "tests.shop_settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "SHOP_BACKEND": BACKENDS[backend],
            "SHOP_LOCATION": location,
            "SHOP_PREFIX": uuid.uuid4().hex[:12],
            "SHOP_SECONDS": "0",
            "SHOP_POISON": "",
            "SHOP_ITEMS": "",
        }
        self.cache = {
            "BACKEND": BACKENDS[backend],
            "LOCATION": location,
            "KEY_PREFIX": self.environment["SHOP_PREFIX"],
        }
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, stderr: int = subprocess.PIPE, **changes: str) -> Any:
        popen = subprocess.Popen(
            [sys.executable, "-m", "django", "warm_fragments", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment | changes,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self._started.append(popen)
        return popen

    def run(self, *arguments: str, **changes: str) -> tuple[int, Process]:
        """Run to the end."""
        process = Process(self.start(*arguments, **changes))
        return process.wait(), process

    def start_slowly(self, *arguments: str, **changes: str) -> Process:
        """Start a run that takes a while, and return when it has begun its second batch."""
        options = ("shop.offer", "--json", "-v2", "--batch-size", str(BATCH))
        changes = {"SHOP_SECONDS": str(SLOW)} | changes
        process = Process(self.start(*options, *arguments, **changes))
        process.wait_for(f"shop.offer({BATCH})")
        return process

    def stop(self) -> None:
        for popen in self._started:
            if popen.poll() is None:
                popen.kill()
                popen.wait()
            for stream in (popen.stdout, popen.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def open_shop() -> Iterator[Callable[[str, str], Shop]]:
    shops = []

    def opened(backend: str, location: str) -> Shop:
        shops.append(Shop(backend, location))
        return shops[-1]

    yield opened
    for shop in shops:
        shop.stop()


@pytest.fixture(params=["embedded"])
def shop(request: pytest.FixtureRequest, open_shop: Any, tmp_path: Path) -> Shop:
    if request.param in BY_NAME:
        return open_shop(request.param, require(request.config, request.param))
    return open_shop(request.param, str(tmp_path / "cache"))


class TestExitCodes:
    def test_0_when_all_is_warm(self, shop: Shop) -> None:
        code, first = shop.run("--json")
        assert (code, first.err) == (0, "")
        assert first.offers == {"planned": NUMBERS, "rendered": NUMBERS, "stored": NUMBERS}

        code, second = shop.run("--json")
        assert (code, second.err) == (0, "")
        assert second.offers == {"planned": NUMBERS, "fresh": NUMBERS}

    def test_1_with_arguments_and_traceback_on_stderr_when_something_fails(
        self, shop: Shop
    ) -> None:
        code, process = shop.run("--json", SHOP_POISON="7")

        assert code == 1
        assert process.offers == {
            "planned": NUMBERS,
            "rendered": NUMBERS - 1,
            "stored": NUMBERS - 1,
            "failed": 1,
        }
        assert "shop.offer(7) failed: ValueError: no such offer" in process.err
        assert "Traceback (most recent call last)" in process.err
        assert process.document["status"] == "failed"

    def test_2_for_what_argparse_refuses(self, shop: Shop) -> None:
        code, process = shop.run("--limit", "few")

        assert (code, process.out) == (2, "")
        assert "'few' is not a number of 0 or more" in process.err

    def test_v0_says_nothing_at_all(self, shop: Shop) -> None:
        code, process = shop.run("-v0")

        assert (code, process.out, process.err) == (0, "", "")


every_shop = pytest.mark.parametrize("shop", ["redis", "embedded"], indirect=True)


class TestSignals:
    @pytest.mark.parametrize(
        ("shop", "how"),
        [("redis", signal.SIGTERM), ("embedded", signal.SIGINT)],
        indirect=["shop"],
    )
    def test_one_finishes_the_batch_and_releases_the_lock(
        self, shop: Shop, how: signal.Signals
    ) -> None:
        process = shop.start_slowly()
        code = process.end(how)

        assert code == 128 + how
        assert process.err.splitlines()[-1] == ("CommandError: Interrupted; what was done is kept.")
        assert "Traceback" not in process.err
        assert process.document["status"] == "interrupted"
        stored = process.offers["stored"]
        assert process.offers == {"planned": stored, "rendered": stored, "stored": stored}
        assert stored % BATCH == 0
        assert BATCH < stored < NUMBERS
        code, rest = shop.run("--json")
        assert (code, rest.document["status"]) == (0, "ok"), "the lock is gone"
        assert rest.offers["fresh"] == stored, "what it stored is whole"


@every_shop
class TestKills:
    def test_the_lock_of_a_killed_run_is_gone_after_its_life(
        self, shop: Shop, settings: Any
    ) -> None:
        process = shop.start_slowly(SHOP_LOCK_LIFE="2")
        killed_at = time.monotonic()
        process.end(signal.SIGKILL)

        settings.CACHES = settings.CACHES | {"shop": shop.cache}
        settings.FRAGCACHE = {"CACHE_ALIAS": "shop", "SECRET_KEYS": [SECRET_KEY]}
        with pytest.raises(Locked, match=f"holds the lock: process {process.popen.pid} on "):
            WarmingLock(store()).__enter__()
        with WarmingLock(store(), wait=20):
            assert 1 < time.monotonic() - killed_at < 10

    def test_a_killed_run_repeats_at_most_the_batch_that_it_was_in(self, shop: Shop) -> None:
        process = shop.start_slowly(SHOP_LOCK_LIFE="0.3")
        time.sleep(BATCH * SLOW)  # about when the batch is written
        process.end(signal.SIGKILL)
        begun = len(re.findall(r"^shop\.offer\(", process.err, re.MULTILINE))

        code, rest = shop.run("--json", "--wait", "20")

        assert code == 0
        assert rest.offers.get("fresh", 0) >= begun - BATCH
        assert rest.offers["stored"] == NUMBERS - rest.offers["fresh"]


@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_75_with_true_counts_when_the_cache_goes_away_half_way(
    backend: str, open_shop: Any, start_server: Any
) -> None:
    server = start_server(backend)
    shop = open_shop(backend, server.address)
    process = shop.start_slowly(SHOP_SECONDS="0.2")
    server.stop(signal.SIGKILL)
    code = process.wait()

    assert code == 75
    assert process.err.splitlines()[-1].startswith("CommandError: The cache is unavailable: ")
    assert "Traceback" not in process.err
    assert process.document["status"] == "unavailable"
    assert process.offers["stored"] == BATCH


class TestTerminal:
    def on_terminal(self, shop: Shop, *arguments: str, **changes: str) -> tuple[int, str, str]:
        """Return exit code, stdout, and what was written to a terminal as stderr."""
        ours, theirs = pty.openpty()
        popen = shop.start(*arguments, stderr=theirs, TERM="xterm", **changes)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        out = popen.stdout.read()
        return popen.wait(PATIENCE), out, shown.decode()

    def test_on_a_terminal_a_bar_is_drawn_over_itself_and_removed(self, shop: Shop) -> None:
        code, out, shown = self.on_terminal(
            shop, "--json", "--batch-size", "2", SHOP_SECONDS="0.055"
        )

        assert code == 0
        assert json.loads(out)["status"] == "ok"
        assert re.search(r"shop\.offer: +\d+%\|.*\| \d+/21 ", shown)
        assert "\n" not in shown
        assert shown.count("\r") >= 5
        assert shown.rstrip("\r").rpartition("\r")[2].strip() == ""
        assert "\x1b[31" not in shown, "progress is no error"

    def test_no_progress_and_v0_draw_no_bar(self, shop: Shop) -> None:
        for option in ("--no-progress", "-v0"):
            code, _out, shown = self.on_terminal(shop, option)
            assert (code, shown) == (0, ""), option

    def test_items_that_cannot_be_counted_do_not_stop_a_run(self, shop: Shop) -> None:
        code, out, _shown = self.on_terminal(shop, "--json", SHOP_ITEMS="broken")

        assert code == 1
        assert json.loads(out)["fragments"]["shop.price"]["stored"] == 1
