"""The source records its runs, and tells which of them were killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.demo.running import DEMO_SITE, PATIENCE, environment, manage


def runs(var: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(manage(var, "fragments", "runs", "--json"))["runs"]
    return found


def test_a_run_is_listed_with_its_counts(warmed_var: Path) -> None:
    [run] = runs(warmed_var)
    assert run["status"] == "ok"
    assert run["totals"]["stored"] == run["totals"]["planned"] > 1000


def test_a_run_is_listed_while_it_goes_on_and_as_died_when_it_is_killed(warmed_var: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(DEMO_SITE / "manage.py"), "warm_fragments", "--force"],
        env=environment(warmed_var),
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while len(found := runs(warmed_var)) == 1:
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGSTOP)
        assert found[0]["status"] == "running"
        assert (found[0]["pid"], found[0]["finished_at"]) == (process.pid, None)
    finally:
        process.kill()
        process.wait()

    assert [run["status"] for run in runs(warmed_var)] == ["died", "ok"]


def test_the_admin_of_the_source_has_them(var: Path) -> None:
    script = """
from django.contrib import admin
from fragcache.models import WarmRun
print(admin.site.is_registered(WarmRun))
"""
    assert manage(var, "shell", "--verbosity=0", "-c", script) == "True\n"
