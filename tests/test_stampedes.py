"""Stampedes of processes: of many that miss one instance, one renders it, and it may die."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fragcache import leases
from tests.pages import SHARED
from tests.plugin import BY_NAME, require
from tests.stampedes import CROWD, RENDER, Herd
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture

#: Seconds more than the bound, for a machine that is busy; tests/soak has the bound itself.
BUSY = 2.0


@pytest.fixture(params=SHARED)
def herd(
    request: pytest.FixtureRequest,
    open_shop: Any,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Herd]:
    is_server = request.param in BY_NAME
    location = require(request.config, request.param) if is_server else str(tmp_path / "cache")
    with Herd(open_shop(request.param, location), tmp_path) as herd:
        yield herd


class TestStampedes:
    @pytest.mark.parametrize("fragment", ["herd.versioned", "herd.headed"])
    def test_is_answered_by_one_render(self, herd: Herd, fragment: str) -> None:
        stampede = herd.run(fragment, threads=CROWD)

        assert stampede.html == {"1"}
        assert len(stampede.renders) == stampede.count("stored") == 1
        assert stampede.slowest <= RENDER + 0.1 + BUSY
        assert stampede.leases == 0

    @pytest.mark.parametrize("herd", ["embedded"], indirect=True)
    def test_whose_tokens_are_new_is_waited_for_by_those_who_may_not_store_under_them(
        self, herd: Herd
    ) -> None:
        stampede = herd.run("herd.headed", knows_tokens=False)

        assert stampede.html == {"1"}
        assert stampede.count("stored") == 1
        assert len(stampede.renders) < len(stampede.answers) / 2

    def test_all_are_answered_where_the_renderer_is_killed(self, herd: Herd) -> None:
        seed = random.randrange(10**6)
        print("seed", seed)
        for seconds in random_moments(seed, 5):
            stampede = herd.check_kill(seconds)
            assert stampede.slowest <= leases.LEAST_LIFE + 0.5 + BUSY

    def test_another_one_renders_and_stores_when_the_lease_of_the_dead_has_ended(
        self, herd: Herd
    ) -> None:
        stampede = herd.check_kill(RENDER / 2)

        assert stampede.count("stored") == 1
        assert stampede.leases == 0

    def test_what_may_not_be_stored_is_rendered_by_all_at_once_when_that_is_known(
        self, herd: Herd
    ) -> None:
        stampede = herd.run(is_unstorable=True)

        assert len(stampede.renders) == len(stampede.answers)
        assert stampede.slowest <= 2 * RENDER + 0.1 + BUSY

    def test_a_lease_that_is_lost_costs_a_render(self, herd: Herd) -> None:
        stampede = herd.run(is_evicted=True)

        assert stampede.html == {"1"}
        assert len(stampede.renders) == stampede.count("stored") == 2
        assert stampede.leases == 0


def random_moments(seed: int, number: int) -> list[float]:
    """Return seconds after which a render may be under way, about to be stored, or over."""
    chosen = random.Random(seed)
    return [chosen.uniform(0, RENDER * 1.1) for _ in range(number)]
