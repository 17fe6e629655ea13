"""Promise T1 by chance: whatever happens to a site, what is stored and what is shown is true."""

from __future__ import annotations

from collections import deque

import pytest

from tests.truth.bugs import BUGS, Bug
from tests.truth.running import ALIASES, Figures, run, world

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.server("postgresql"),
    pytest.mark.leases,
    pytest.mark.no_cover,  # which would double its time
]
SEED = 1
#: In all, and within which each bug must have been found; tests/soak has more.
STEPS = 10_000


@pytest.mark.parametrize("alias", ALIASES)
def test_whatever_happens(alias: str, pytestconfig: pytest.Config) -> None:
    figures = Figures(SEED)
    with world(alias, pytestconfig) as made:
        deque(run(made, figures, steps=STEPS // len(ALIASES)), maxlen=0)
    print(figures)


@pytest.mark.parametrize("bug", BUGS)
def test_the_machine_finds(
    bug: Bug, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    figures = Figures(SEED)
    with world("redis", pytestconfig) as made, pytest.raises(AssertionError) as raised:
        deque(run(made, figures, steps=STEPS, shrinks=False), maxlen=0)
    print(f"{bug.__name__}: {figures}: {raised.value}")
