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
from fragcache.warming.allowance import Allowance, Bounds, Left
from fragcache.warming.units import Outcome, Unit, warm

_allowance = Allowance(Bounds())


def begin(bounds: Bounds, left: Left | None, stopped: Synchronized[bool]) -> None:
    """Make this process a worker; ``left`` is how many instances all of them may still render.

    Signals are the business of the process that started it, which says in ``stopped`` that they
    are to end; without bounds on their pace they finish their units.
    """
    global _allowance
    _allowance = Allowance(bounds, left, lambda: stopped.value)
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
        "rank": unit.rank,
    }


def work(told: dict[str, Any]) -> tuple[Outcome, list[Instance]]:
    """Do a unit; return what became of it, and what was due.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    close_old_connections()
    unit = Unit(**told | {"fragment": registry.get(told["fragment"])})
    due: list[Instance] = []
    outcome = warm(unit, _allowance, lambda _fragment, instance: due.append(instance))
    return outcome, due


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
