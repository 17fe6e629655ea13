"""A worker: what one of the processes of ``--parallel`` does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import django
from django.db import close_old_connections

from fragcache import registry
from fragcache.arguments import Instance
from fragcache.versions import Version
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


def packed(unit: Unit) -> bytes:
    """Return a unit as another process can be told of it.

    Raises:
        Exception: its instances cannot be pickled, which says so in many ways.
    """
    told = {
        "fragment": unit.fragment.name,
        # Optimisation: plain tuples are pickled in a third of the time of named ones.
        "instances": [
            (*instance, None if version is None else tuple(version))
            for instance, version in unit.instances
        ],
        "axis_values": dict(unit.axis_values),
        "using": unit.using,
        "force": unit.force,
        "dry": unit.dry,
        "rank": unit.rank,
        "listing": unit.listing,
    }
    return bytes(ForkingPickler.dumps(told))


def work(told: bytes, *, tells_due: bool) -> tuple[Outcome, list[Instance]]:
    """Do a packed unit; return what became of it, and what was due if that is to be told.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    if _allowance.is_stopped():  # it waited for a worker, and is not begun
        return Outcome(is_incomplete=True), []
    close_old_connections()
    unit = _unpacked(told)
    due: list[Instance] = []
    on_due = (lambda _fragment, instance: due.append(instance)) if tells_due else None
    outcome = warm(unit, _allowance, on_due)
    return outcome, due


def _unpacked(told: bytes) -> Unit:
    options: dict[str, Any] = ForkingPickler.loads(told)
    options["fragment"] = registry.get(options["fragment"])
    options["instances"] = [
        (Instance(arguments, encoded), None if version is None else Version(*version))
        for arguments, encoded, version in options["instances"]
    ]
    return Unit(**options)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
