"""Runs of the state machine over real servers."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
#: Steps of an example.
STEPS = 100
#: Examples of a batch: the simplest one, and others that are drawn. After ten, Hypothesis would
#: spend four fifths of them on variations of one another.
BATCH = 9


@dataclass
class Figures:
    """What a run has done."""

    seed: int
    examples: int = 0
    steps: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.examples:,} examples, {self.steps:,} steps in "
            f"{self.seconds:.1f} s, {self.steps / max(self.seconds, 0.001):.0f} a second"
        )


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


def run(made: World, figures: Figures, *, steps: int, shrinks: bool = True) -> Iterator[Figures]:
    """Run the machine for so many steps; yield what it has done after each batch.

    Raises:
        AssertionError: something was stored or shown that is not true.
    """
    number = 0
    while figures.steps < steps:
        machine = _machine(made, figures.seed + number)
        began = time.perf_counter()
        try:
            run_state_machine_as_test(machine, settings=_how(steps - figures.steps, shrinks))
        finally:
            figures.examples += machine.examples - 1  # the simplest one is always the same
            figures.steps += machine.steps
            figures.seconds += time.perf_counter() - began
        yield figures
        number += 1


def _machine(made: World, seed: int) -> Any:
    return hypothesis.seed(seed)(type("Site", (Machine,), {"world": made}))


def _how(steps: int, shrinks: bool) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=min(BATCH, 2 + steps // STEPS),
        stateful_step_count=STEPS,
        phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


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
