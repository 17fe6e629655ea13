"""The kills of tests/test_warm_kills.py at 200 moments of a run, of each cache and each lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kills import Stem, points
from tests.plugin import BY_NAME, require
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture

pytestmark = pytest.mark.soak
POINTS = 200


@pytest.mark.parametrize(
    ("backend", "lock"),
    [
        ("redis", "cache"),
        ("redis", "database"),
        ("memcached", "cache"),
        ("memcached", "file"),
        ("embedded", "file"),
        ("embedded", "cache"),
    ],
)
def test_a_run_that_is_killed_at_any_step_leaves_what_is_whole(
    request: pytest.FixtureRequest, open_shop: Any, tmp_path: Path, backend: str, lock: str
) -> None:
    is_server = backend in BY_NAME
    location = require(request.config, backend) if is_server else str(tmp_path / "cache")
    shop = open_shop(backend, location)
    if lock == "database":
        parts = urlsplit(require(request.config, "postgresql"))
        shop.environment["SHOP_DATABASE"] = parts._replace(path="/postgres").geturl()
    with Stem(shop, lock, tmp_path) as stem:
        killed = [stem.check_kill_at(step) for step in points(stem.count_steps(), POINTS)]
    assert sum(killed) >= POINTS - 2
