"""What the tests of recorded runs share: a shop to warm, and databases to record in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS

from fragcache.models import WarmRun

#: While a run goes on: what is done when a number is rendered.
Hooks = dict[int, Callable[[], Any]]


@pytest.fixture
def hooks(declare: Any, templates: Any) -> Hooks:
    """The fragment ``shop.price`` of four numbers; by number, what its rendering does."""
    hooks: Hooks = {}
    templates({"n.html": "{{ n }}"})

    @declare("n.html", name="shop.price", items=[1, 2, 3, 4], version=lambda n: 1)
    def price(n: int) -> dict[str, Any]:
        hooks.get(n, int)()
        return {"n": n}

    return hooks


def warm(*arguments: str) -> int:
    """Run ``warm_fragments``, and return its exit code."""
    try:
        call_command("warm_fragments", *arguments, verbosity=0)
    except CommandError as error:
        return error.returncode
    return 0


def the_run() -> WarmRun:
    return WarmRun.objects.get()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "fragcache.warm" and record.levelno == logging.WARNING
    ]


def fail(error: BaseException) -> None:
    raise error


#: The one alias to which a test may connect although Django has made no test database of it.
RUNS = NO_DB_ALIAS


class Router:
    """Sends the runs to a database of the test's own."""

    def db_for_write(self, model: type, **_hints: Any) -> str | None:
        return RUNS if model is WarmRun else None

    db_for_read = db_for_write


class BrokenRouter(Router):
    """Fails."""

    def db_for_write(self, model: type, **_hints: Any) -> str | None:
        return fail(LookupError("no shard")) if model is WarmRun else None


@pytest.fixture
def runs_in(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that keeps the runs in a database of its own."""

    def keep(**database: Any) -> None:
        settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
        complete = {**connections.settings["default"], "OPTIONS": {}, **database}
        monkeypatch.setitem(connections.settings, RUNS, complete)

    yield keep
    if RUNS in connections.settings:
        connections[RUNS].close()
        del connections[RUNS]
