"""What the tests of warming share: running a plan, and what its report counts."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

import pytest

from fragcache import Fragment
from fragcache.warming import Plan, Report, Run, Tally

A_SECOND = dt.timedelta(seconds=1)

#: For claims that each cache has to hold by its own means.
shared_caches = pytest.mark.parametrize(
    "cache_alias", ["redis", "memcached", "embedded"], indirect=True
)


def warm(*fragments: Fragment, **plan: Any) -> Report:
    """Warm fragments and return the report."""
    return Run(Plan(fragments=fragments, **plan)).execute()


def counted(found: Report | Tally) -> dict[str, int]:
    """Return the counts that are not zero."""
    tally = found.totals if isinstance(found, Report) else found
    return {name: number for name, number in asdict(tally).items() if number and name != "seconds"}


def all_stored(number: int) -> dict[str, int]:
    return {"planned": number, "rendered": number, "stored": number} if number else {}


def all_fresh(number: int) -> dict[str, int]:
    return {"planned": number, "fresh": number} if number else {}


def partly_rendered(rendered: int, planned: int) -> dict[str, int]:
    """Return the counts of a run in which a part was due and all of that was stored."""
    counts = {
        "planned": planned,
        "fresh": planned - rendered,
        "rendered": rendered,
        "stored": rendered,
    }
    return {name: number for name, number in counts.items() if number}
