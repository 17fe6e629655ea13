"""Fixtures of all tests: fragments and templates for one test, and a clean slate around each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from fragcache import counters, digests, fragment, manifest, registry
from fragcache.reading import costs, traces
from fragcache.reading.doorkeeper import doorkeeper
from fragcache.signals import guard_probed
from fragcache.stats import bypass
from fragcache.stats.collecting import collector
from fragcache.stats.keeping import keeper
from fragcache.stats.outages import note
from tests import unpickling
from tests.admin_site import admin_site, superuser  # noqa: F401
from tests.asked_site import asked_site, asked_source, asking_target, numbers  # noqa: F401
from tests.faulty_site import cards, rows  # noqa: F401
from tests.fixtures import (  # noqa: F401
    artist_card,
    artists,
    cache_alias,
    clock,
    greeting,
    n,
    no_counts,
    renders,
    trips,
    use_backend,
)
from tests.jinja2_pages import in_production, jinja  # noqa: F401
from tests.recorded_runs import hooks, runs_in  # noqa: F401
from tests.routers import route  # noqa: F401
from tests.sealed_site import site  # noqa: F401


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """Databases keep their names: each worker of pytest-xdist has servers of its own."""


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """What this process knows of fragments ends with each test."""
    declared = dict(registry._fragments)
    forget()
    yield
    registry._fragments.clear()
    registry._fragments.update(declared)
    forget()


@pytest.fixture(autouse=True)
def nothing_is_unpickled() -> Iterator[None]:
    """Promise X1: whatever a test does, what comes through fragcache is never a pickle."""
    yield
    assert unpickling.taken() == []


@pytest.fixture(scope="session", autouse=True)
def uncollected_counts() -> None:
    """No thread writes counts: it would begin in tests that are as in production, and not end."""
    collector.begin = lambda: None  # type: ignore[method-assign]
    counters.collect_with(collector.begin)


@pytest.fixture(autouse=True)
def unrecorded_outages(request: pytest.FixtureRequest) -> None:
    """The threads of guards leave the test's database alone; but in tests of outages."""
    guard_probed.disconnect(dispatch_uid="fragcache.stats.outages")
    if request.node.get_closest_marker("outages") is not None:
        guard_probed.connect(note, dispatch_uid="fragcache.stats.outages")


@pytest.fixture(autouse=True)
def cheap_renders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renders are cheap, however busy the machine is; but in tests of leases."""
    if request.node.get_closest_marker("leases") is None:
        monkeypatch.setattr(costs, "are_worth_a_lease", lambda _name: False)


def forget() -> None:
    digests.forget()
    costs.forget()
    traces.forget()
    doorkeeper.forget()
    manifest._remembered.clear()
    counters.reset()
    bypass.forget()
    keeper.begin()


@pytest.fixture
def declare() -> Callable[..., Any]:
    """Register a fragment for one test: `@declare("x.html", items=..., version=...)`."""
    return fragment


@pytest.fixture
def templates(settings: Any) -> Callable[[Mapping[str, str]], None]:
    """A function that adds templates, by name: `templates({"x.html": "source"})`."""
    sources: dict[str, str] = {}

    def add(added: Mapping[str, str]) -> None:
        sources.update(added)
        engine, *others = copy.deepcopy(settings.TEMPLATES)
        engine["APP_DIRS"] = False
        engine["OPTIONS"]["loaders"] = [
            (
                "django.template.loaders.cached.Loader",
                [
                    ("django.template.loaders.locmem.Loader", dict(sources)),
                    "django.template.loaders.app_directories.Loader",
                ],
            )
        ]
        settings.TEMPLATES = [engine, *others]

    return add
