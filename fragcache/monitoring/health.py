"""Health: one word for a load balancer, and for operators what it is made of.

ok         all caches answer, and no guard of this process is open
degraded   one does not, or is left alone: pages are slower, and complete
down       no cache answers
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from fragcache import conf
from fragcache.stats.answering import Answer, aliases, ask_all
from fragcache.stats.condition import Guard, latest_runs, open_guards, own_guards


class Status(StrEnum):
    """How the caches of fragments are."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


def ask() -> Sequence[Answer]:
    """Ask the caches that pages use, for no longer than ``answering.HURRY``."""
    return ask_all(aliases()) if conf.settings().ENABLED else []


def status_of(answers: Sequence[Answer]) -> Status:
    """Return the word for what caches have answered; nothing else is asked."""
    silent = [answer for answer in answers if answer.took is None]
    if silent and len(silent) == len(answers):
        return Status.DOWN
    is_guarded = bool(answers) and bool(own_guards())
    return Status.DEGRADED if silent or is_guarded else Status.OK


def described(answers: Sequence[Answer], status: Status) -> dict[str, Any]:
    """Return all that is known, as JSON; ages and times are in seconds.

    There is neither an address in it nor the text of an error.
    """
    moment = dt.datetime.now(dt.UTC)
    return {
        "status": status.value,
        "enabled": conf.settings().ENABLED,
        "caches": {answer.alias: _cache(answer) for answer in answers},
        "guards": [_guard(*about, guard, moment) for about, guard in _sorted(open_guards())],
        "warm_runs": run_ages(moment),
    }


def run_ages(moment: dt.datetime) -> dict[str, float]:
    """Return how many seconds ago the last run of each status ended."""
    found = {}
    for status, run in latest_runs().items():
        if run.finished_at is not None:
            found[status] = round(moment.timestamp() - run.finished_at.timestamp(), 1)
    return found


def _cache(answer: Answer) -> dict[str, Any]:
    if answer.took is None:
        return {"answers": False, "milliseconds": None, "problem": answer.kind}
    return {"answers": True, "milliseconds": round(answer.took * 1000, 3), "problem": ""}


def _guard(alias: str, purpose: str, guard: Guard, moment: dt.datetime) -> dict[str, Any]:
    return {
        "alias": alias,
        "purpose": purpose,
        "open_for": round((moment - guard.since).total_seconds(), 1),
        "processes": guard.processes,
    }


def _sorted(guards: Mapping[tuple[str, str], Guard]) -> list[tuple[tuple[str, str], Guard]]:
    return sorted(guards.items(), key=lambda item: item[0])
