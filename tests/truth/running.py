"""Runs of the state machine over real servers."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import hypothesis
import pytest
from django.test import override_settings
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import run_state_machine_as_test

from tests.plugin import require
from tests.truth.machine import Machine
from tests.truth.site import templates
from tests.truth.world import World

ALIASES = ("redis", "memcached")
STEPS = 100


class Figures(NamedTuple):
    """What a run has done."""

    examples: int
    steps: int
    seconds: float


@contextmanager
def world(alias: str, config: pytest.Config) -> Iterator[World]:
    """A world over a cache, in which simulated time is in force."""
    require(config, alias)
    with override_settings(**_settings(alias)), pytest.MonkeyPatch.context() as patched:
        made = World(alias)
        made.install(patched)
        try:
            with made.clock.in_force():
                yield made
        finally:
            made.database.close()


def run(made: World, *, seed: int, examples: int, shrinks: bool = True) -> Figures:
    """Run the machine in so many examples."""
    machine: Any = hypothesis.seed(seed)(type("T1", (Machine,), {"world": made}))
    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    began = time.perf_counter()
    try:
        run_state_machine_as_test(
            machine,
            settings=hypothesis.settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                phases=phases,
                database=None,
                deadline=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        made.figures = Figures(machine.examples, machine.steps, time.perf_counter() - began)
    return made.figures


def _settings(alias: str) -> dict[str, Any]:
    from django.conf import settings

    engine, *others = copy.deepcopy(settings.TEMPLATES)
    engine["APP_DIRS"] = False
    locmem = ("django.template.loaders.locmem.Loader", templates())
    engine["OPTIONS"]["loaders"] = [("django.template.loaders.cached.Loader", [locmem])]
    return {
        "TEMPLATES": [engine, *others],
        "FRAGCACHE": {"CACHE_ALIAS": alias, "PAGE_BUDGET": None},
    }
