"""SIGKILL at any moment: nothing torn, no stuck lock, at most a batch repeated, true counts.

tests/soak/test_kills.py has the same with ten times as many moments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cutter import Cutter
from tests.kills import Stem, points
from tests.plugin import BY_NAME, require
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture


@pytest.mark.parametrize(
    ("backend", "lock", "number"),
    [
        ("redis", "cache", 4),
        ("memcached", "cache", 2),
        ("memcached", "file", 4),
        ("embedded", "file", 5),
    ],
)
def test_a_run_that_is_killed_at_any_step_leaves_what_is_whole(
    request: pytest.FixtureRequest,
    open_shop: Any,
    tmp_path: Path,
    backend: str,
    lock: str,
    number: int,
) -> None:
    is_server = backend in BY_NAME
    location = require(request.config, backend) if is_server else str(tmp_path / "cache")
    with Stem(open_shop(backend, location), lock, tmp_path) as stem:
        killed = [stem.check_kill_at(step) for step in points(stem.count_steps(), number)]
    assert sum(killed) >= number - 1


@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_a_run_that_is_killed_in_the_middle_of_a_command_leaves_what_is_whole(
    request: pytest.FixtureRequest, open_shop: Any, tmp_path: Path, backend: str
) -> None:
    check_cuts(open_shop, require(request.config, backend), tmp_path, backend, 4)


def check_cuts(open_shop: Any, location: str, directory: Path, backend: str, number: int) -> None:
    """Kill runs after so many numbers of bytes, evenly spaced over all that are sent."""
    server = location.removeprefix("redis://").partition("/")[0]
    with Cutter(server) as cutter:
        shop = open_shop(backend, location.replace(server, cutter.address))
        with Stem(shop, "file", directory) as stem:
            sent = points(stem.count_bytes(cutter), number)
            killed = [stem.check_kill_after(length, cutter) for length in sent]
    assert sum(killed) >= number - 1
