"""The stampedes of tests/test_leases.py many times over, with the bounds that are promised."""

from __future__ import annotations

import random
import statistics

import pytest

from fragcache import leases
from tests.stampedes import CROWD, RENDER, Herd
from tests.test_leases import herd, open_shop, random_moments  # noqa: F401 - fixtures

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("fragment", ["herd.versioned", "herd.headed"])
@pytest.mark.parametrize("threads", [[32], [1] * 32, CROWD], ids=["threads", "processes", "both"])
def test_one_render_answers_all(herd: Herd, fragment: str, threads: list[int]) -> None:  # noqa: F811
    stampedes = [herd.run(fragment, threads=threads) for _ in range(10)]

    slowest = sorted(stampede.slowest for stampede in stampedes)
    print(f"slowest: median {statistics.median(slowest):.3f} s, {slowest[-1]:.3f} s at most")
    assert [len(stampede.renders) for stampede in stampedes] == [1] * 10
    # Where more processes want to run than there are processors, some wait for these.
    assert statistics.median(slowest) <= RENDER + 0.1


def test_all_are_answered_whenever_the_renderer_is_killed(herd: Herd) -> None:  # noqa: F811
    seed = random.randrange(10**6)
    print("seed", seed)
    stampedes = [herd.check_kill(seconds) for seconds in random_moments(seed, 50)]

    slowest = sorted(stampede.slowest for stampede in stampedes)
    renders = sorted(len(stampede.renders) for stampede in stampedes)
    print(f"slowest: median {statistics.median(slowest):.3f} s, {slowest[-1]:.3f} s at most")
    print(f"renders: median {statistics.median(renders):g}, {renders[-1]} at most")
    assert slowest[-1] <= leases.LEAST_LIFE + 0.5
