"""Promise T1 by chance, for as long as it takes: a million steps, beginning anywhere."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.truth.running import ALIASES, Figures, run, world

pytestmark = [
    pytest.mark.soak,
    pytest.mark.django_db(transaction=True),
    pytest.mark.server("postgresql"),
    pytest.mark.leases,
]
STEPS = int(os.environ.get("FRAGCACHE_SOAK_STEPS", "1000000"))
SEED = int(os.environ.get("FRAGCACHE_SOAK_SEED", str(random.randrange(10**6))))
#: Seconds between two lines of progress.
INTERVAL = 30


@pytest.mark.parametrize("alias", ALIASES)
def test_whatever_happens(
    alias: str, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, steps = Figures(SEED), STEPS // len(ALIASES)
    said = 0.0
    with world(alias, pytestconfig) as made:
        for _batch in run(made, figures, steps=steps):
            if figures.steps >= steps or time.perf_counter() - said > INTERVAL:
                said = time.perf_counter()
                with capsys.disabled():
                    print(f"\n{alias}, {figures}", end="", flush=True)
