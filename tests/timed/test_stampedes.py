"""Stampedes of processes: of many that miss one instance, one renders it, and it may die."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fragcache import get_fragment, leases
from fragcache.reading import costs
from tests.fixtures import without_local_cache
from tests.pages import SHARED, shared_caches
from tests.plugin import BY_NAME, require
from tests.stampedes import CAP, CROWD, RENDER, Herd, Stampede
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture

#: Seconds more than the bound, for a machine that is busy; tests/soak has the bound itself.
BUSY = 2.0
ATTEMPTS = 4


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
        stampede = unhurried(lambda: herd.run(fragment, threads=CROWD))

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
        for seconds in random_moments(seed, 2):
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
        stampede = unhurried(lambda: herd.run(is_unstorable=True))

        assert len(stampede.renders) == len(stampede.answers)
        assert stampede.slowest <= 2 * RENDER + 0.1 + BUSY

    def test_a_lease_that_is_lost_costs_a_render(self, herd: Herd) -> None:
        stampede = unhurried(lambda: herd.run(is_evicted=True))

        assert stampede.html == {"1"}
        assert len(stampede.renders) == stampede.count("stored") == 2
        assert stampede.leases == 0


def unhurried(run: Callable[[], Stampede]) -> Stampede:
    """Return one in which nobody was kept for as long as a lease lives, if the machine allows."""
    for _attempt in range(ATTEMPTS):
        stampede = run()
        if stampede.slowest < leases.LEAST_LIFE:
            break
    return stampede


def random_moments(seed: int, number: int) -> list[float]:
    """Return seconds after which a render may be under way, about to be stored, or over."""
    chosen = random.Random(seed)
    return [chosen.uniform(0, RENDER * 1.1) for _ in range(number)]


@shared_caches
@pytest.mark.leases
@without_local_cache
@pytest.mark.usefixtures("cache_alias")
def test_two_processes_that_render_a_in_b_and_b_in_a_do_not_wait_for_each_other(
    declare: Any, templates: Any
) -> None:
    """Each holds the lease of what the other one shows inside."""
    shows = "{{ name }}{% if other %}{% load fragcache %}({% fragment other 1 %}){% endif %}"
    templates({"shows.html": shows})
    inside: list[str] = []
    processing = multiprocessing.get_context("fork")
    meet, answers = processing.Barrier(2), processing.Queue()

    def context_of(name: str, other: str) -> Callable[[int], dict[str, Any]]:
        def context(n: int) -> dict[str, Any]:
            if n == 0 or inside:
                return {"name": name}
            inside.append(name)
            meet.wait(CAP)
            return {"name": name, "other": f"herd.{other}"}

        return context

    for name, other in (("a", "b"), ("b", "a")):
        declare("shows.html", name=f"herd.{name}", version=lambda _n: 1)(context_of(name, other))
        get_fragment(f"herd.{name}", 0)  # the tokens are known
    costs.forget()  # it was cheap

    def read(name: str) -> None:
        began = time.monotonic()
        html = str(get_fragment(f"herd.{name}", 1))
        answers.put((html, time.monotonic() - began))

    processes = [processing.Process(target=read, args=(name,)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(CAP)
    first, second = sorted(answers.get() for _process in processes)
    assert first[0] in {"a(b)", "a(b(a))"}, "the inner one may be stored by now"
    assert second[0] in {"b(a)", "b(a(b))"}
    assert max(first[1], second[1]) < leases.LEAST_LIFE
