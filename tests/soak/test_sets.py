"""Atomic sets for minutes: a publisher that is killed hundreds of times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.test_set_processes import hammer

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
def test_no_page_shows_parts_of_two_generations(
    cache_alias: str, settings: Any, tmp_path: Path
) -> None:
    kills, read = hammer(settings.CACHES[cache_alias], tmp_path, generations=200)

    assert kills > 50
    assert (read.get("mixed", 0), read.get("missing", 0)) == (0, 0)
