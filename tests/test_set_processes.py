"""Atomic sets between processes: a publisher that is killed at any moment, and a reader."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.set_processes import end, start


@pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
def test_no_page_shows_parts_of_two_generations(
    cache_alias: str, settings: Any, tmp_path: Path
) -> None:
    kills, read = hammer(settings.CACHES[cache_alias], tmp_path, generations=5)

    assert kills > 1
    assert read["generations"] >= 5
    assert (read.get("mixed", 0), read.get("missing", 0)) == (0, 0)


def hammer(cache: Any, folder: Path, *, generations: int) -> tuple[int, dict[str, int]]:
    """Return how often the publisher was killed meanwhile, and what pages showed."""
    given = {"generations": generations, "folder": str(folder)}
    publisher = start("publisher", cache, **given)
    while not (folder / "ready").exists():
        assert publisher.poll() is None, publisher.communicate()[1]
        time.sleep(0.01)
    read = end(start("reader", cache, **given))
    return end(publisher)["kills"], read
