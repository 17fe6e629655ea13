"""The kills of tests/test_warm_kills.py at 200 moments on each cache, and with each lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kills import Stem, points
from tests.plugin import BY_NAME, require
from tests.test_warm_kills import check_cuts
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture

pytestmark = pytest.mark.soak


@pytest.mark.parametrize(
    ("backend", "lock", "number"),
    [
        ("redis", "cache", 200),
        ("redis", "database", 50),
        ("memcached", "file", 200),
        ("memcached", "cache", 50),
        ("embedded", "file", 200),
        ("embedded", "cache", 50),
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
    shop = open_shop(backend, location)
    if lock == "database":
        parts = urlsplit(require(request.config, "postgresql"))
        shop.environment["SHOP_DATABASE"] = parts._replace(path="/postgres").geturl()
    with Stem(shop, lock, tmp_path) as stem:
        killed = [stem.check_kill_at(step) for step in points(stem.count_steps(), number)]
    assert sum(killed) >= number - 2


@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_a_run_that_is_killed_in_the_middle_of_a_command_leaves_what_is_whole(
    request: pytest.FixtureRequest, open_shop: Any, tmp_path: Path, backend: str
) -> None:
    check_cuts(open_shop, require(request.config, backend), tmp_path, backend, 200)
