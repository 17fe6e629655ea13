"""SIGKILL at any moment: nothing torn, no stuck lock, at most a batch repeated, true counts.

tests/soak/test_kills.py has the same with ten times as many moments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kills import Stem, points
from tests.plugin import BY_NAME, require
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture


@pytest.mark.parametrize(
    ("backend", "lock", "number"),
    [
        ("redis", "cache", 8),
        ("memcached", "cache", 3),
        ("memcached", "file", 5),
        ("embedded", "file", 6),
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
