"""Promise T1 by chance: whatever happens to a site, what is stored and what is shown is true."""

from __future__ import annotations

import pytest

from tests.truth.bugs import BUGS, Bug
from tests.truth.running import ALIASES, run, world

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.server("postgresql"),
    pytest.mark.leases,
]
SEED = 20261121


@pytest.mark.parametrize("alias", ALIASES)
def test_whatever_happens(alias: str, pytestconfig: pytest.Config) -> None:
    with world(alias, pytestconfig) as made:
        figures = run(made, seed=SEED, examples=50)
    print(figures)


@pytest.mark.parametrize("bug", BUGS)
def test_the_machine_finds(
    bug: Bug, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    with world("redis", pytestconfig) as made:
        try:
            with pytest.raises(AssertionError) as raised:
                run(made, seed=SEED, examples=50, shrinks=False)
        finally:
            print(bug.__name__, made.figures)
    print(raised.value)
