"""A worker: what one of the processes of ``--parallel`` does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import django
from django.db import close_old_connections

from fragcache import registry
from fragcache.arguments import Instance
from fragcache.warming.units import Outcome, Unit, warm

_left: Synchronized[int] | None = None


def begin(left: Synchronized[int] | None) -> None:
    """Make this process a worker; ``left`` is how many instances all of them may still render.

    Signals are the business of the process that started it, which lets it finish its unit.
    """
    global _left
    _left = left
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="fragcache worker", daemon=True).start()
    django.setup()


def packed(unit: Unit) -> dict[str, Any]:
    """Return a unit as another process can be told of it."""
    return {
        "fragment": unit.fragment.name,
        "instances": unit.instances,
        "axis_values": dict(unit.axis_values),
        "using": unit.using,
        "force": unit.force,
        "dry": unit.dry,
    }


def work(told: dict[str, Any]) -> tuple[Outcome, list[Instance]]:
    """Do a unit; return what became of it, and what was missing or stale.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    close_old_connections()
    unit = Unit(**told | {"fragment": registry.get(told["fragment"])})
    due: list[Instance] = []
    granted = 0

    def allowed(wanted: int) -> int:
        nonlocal granted
        granted = _granted(wanted)
        return granted

    outcome = warm(unit, allowed, lambda _fragment, instance: due.append(instance))
    _granted(outcome.tally.rendered - granted)  # what failed does not count
    return outcome, due


def _granted(wanted: int) -> int:
    if _left is None:
        return wanted
    with _left.get_lock():
        granted = min(wanted, _left.value)
        _left.value -= granted
    return granted


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
