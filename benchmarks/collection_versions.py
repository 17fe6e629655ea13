"""Measure collection_version() beside what it stands for, for the promise T2; prints Markdown.

The latest mtime with a count, which misses late commits and moves, is what most sites have;
reading the rows is what a page does anyway. On PostgreSQL and SQLite, in one run each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from benchmarks import servers
from benchmarks.__main__ import positive
from benchmarks.measuring import interleaved, quartiles, significant
from benchmarks.warm.combinations import KINDS
from benchmarks.warm.fresh import process

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 15
#: Milliseconds for each 1,000 rows, on PostgreSQL.
BOUND = 1.0
OWN = "collection_version"
ROWS = {
    OWN: "`collection_version(all)`",
    "ordered": "... by a name in lower case: with positions",
    "latest": "`Max(mtime)` and `Count`",
    "rows": "reading the rows",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.collection_versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"({ROUNDS})")
    made.add_argument("--sizes", type=positive, nargs="+", default=SIZES, metavar="N", help="rows")
    made.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = made.parse_args(arguments)
    is_missed = False
    for database in ("postgresql", "sqlite"):
        names = [database] if database in KINDS else []
        with (
            tempfile.TemporaryDirectory(prefix="fragcache-bench-") as directory,
            servers.running(names, KINDS, nullcontext) as missing,
        ):
            if missing:
                print(f"{database} is not measured. {' '.join(missing.values())}")
                continue
            os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"] = directory
            os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.warm.settings"
            with process() as call:
                label, version = call("benchmarks.warm.stock:prepare")
                print(f"\n{label} {version}: milliseconds, the middle of {options.rounds} rounds\n")
                print(f"| rows | {' | '.join(ROWS.values())} | each 1,000 rows |")
                print(f"|{'--:|' * (len(ROWS) + 2)}")
                for size in sorted(options.sizes):
                    times = call("benchmarks.collection_versions:measured", size, options.rounds)
                    each = quartiles(times[OWN]).median / size * 1000
                    is_missed |= database == "postgresql" and each > BOUND
                    print(f"| {size:,} | {_cells(times)} | {significant(each)} |")
    print(f"\nThe bound: {significant(BOUND)} ms for each 1,000 rows on PostgreSQL.")
    return int(options.check and is_missed)


def measured(size: int, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each row of the table, round by round."""
    from django.db.models import Count, Max
    from django.db.models.functions import Lower

    from benchmarks.warm.notes.models import Note
    from benchmarks.warm.stock import fill
    from fragcache import collection_version

    fill(0, size)
    notes = Note.objects.all()
    calls: dict[str, Callable[[], Any]] = {
        OWN: lambda: collection_version(notes, field="updated_at"),
        "ordered": lambda: collection_version(notes.order_by(Lower("title")), field="updated_at"),
        "latest": lambda: notes.aggregate(Max("updated_at"), Count("pk")),
        "rows": lambda: list(notes.all()),
    }
    for call in calls.values():
        call()
    return interleaved(
        {name: lambda call=call: _timed(call) for name, call in calls.items()}, rounds
    )


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _cells(times: dict[str, list[float]]) -> str:
    return " | ".join(significant(quartiles(times[name]).median) for name in ROWS)


if __name__ == "__main__":
    sys.exit(main())
