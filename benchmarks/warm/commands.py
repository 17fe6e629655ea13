"""The real command, called in this process, and the time it takes."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

from django.core.management import call_command


def warm(fragment: str, **options: Any) -> dict[str, Any]:
    """Run ``warm_fragments``; return the totals that it reports."""
    out = StringIO()
    call_command("warm_fragments", fragment, json=True, progress=False, stdout=out, **options)
    totals: dict[str, Any] = json.loads(out.getvalue())["totals"]
    return totals


def timed(row: Callable[[], object]) -> float:
    """Return the milliseconds that a call takes."""
    gc.collect()
    began = time.perf_counter()
    row()
    return (time.perf_counter() - began) * 1000


class WrongCount(Exception):
    """A run rendered another number than it had to: its time is that of something else."""


def expect(what: str, rendered: int, wanted: int) -> None:
    """Raise unless a run has rendered as many as were missing or changed."""
    if rendered != wanted:
        raise WrongCount(f"{what}: {rendered:,} were rendered where {wanted:,} had to be.")
