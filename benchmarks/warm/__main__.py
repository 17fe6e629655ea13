"""Measure warming: beside the loops that it replaces, in two processes, and by size.

Prints Markdown tables, and with --output also writes them there with plots and all samples.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.__main__ import RESULTS, positive
from benchmarks.bounds import is_missed
from benchmarks.warm import report
from benchmarks.warm.bounds import bounds
from benchmarks.warm.combinations import COMBINATIONS
from benchmarks.warm.findings import Findings
from benchmarks.warm.run import Extent, measure

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (10_000,)
ROUNDS = 6
QUICK_ROUNDS = 1
DISTRIBUTIONS = (
    "fragcache",
    "Django",
    "django-redis",
    "redis",
    "hiredis",
    "pymemcache",
    "psycopg2-binary",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    options = parser().parse_args(arguments)
    names = [name for name in COMBINATIONS if name in (options.only or COMBINATIONS)]
    extent = Extent(
        sizes=tuple(sorted(set(options.sizes or (QUICK_SIZES if options.quick else SIZES)))),
        rounds=options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
    )
    findings, versions = measure(names, extent)
    described = machine.describe([], DISTRIBUTIONS) | versions
    return publish(findings, extent.words, options, described)


def publish(
    findings: Findings, how: str, options: argparse.Namespace, described: dict[str, str]
) -> int:
    """Print and write the report; return the exit code."""
    found = bounds(findings)
    print(report.markdown(findings, found, described, how, plots=False))
    directory = output(options)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        plots = importlib.util.find_spec("matplotlib") is not None
        text = report.markdown(findings, found, described, how, plots=plots)
        (directory / "warming.md").write_text(text)
        (directory / "warming.json").write_text(report.as_json(findings, found, described, how))
        if plots:
            from benchmarks.warm.plots import write

            write(findings, directory)
        else:
            print("No plots: matplotlib is not installed.", file=sys.stderr)
    return 1 if options.check and is_missed(found) else 0


def output(options: argparse.Namespace) -> Path | None:
    """Return the directory to write to; a partial run does not replace what a full one wrote."""
    is_full = not (options.quick or options.only or options.sizes)
    return options.output or (RESULTS if is_full else None)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.warm",
        description=__doc__,
        epilog="With make: make bench-warm ARGS='--quick --only redis'.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help=f"rounds beside the loops, half of them with two processes ({ROUNDS}; "
        f"{QUICK_ROUNDS} with --quick)",
    )
    made.add_argument("--quick", action="store_true", help="10,000 only, in one round")
    made.add_argument(
        "--sizes",
        type=enough,
        nargs="+",
        metavar="N",
        help="instances; a full run has " + ", ".join(f"{size:,}" for size in SIZES),
    )
    made.add_argument(
        "--only",
        action="append",
        choices=tuple(COMBINATIONS),
        metavar="CACHE",
        help="; ".join(f"{found.name}: {found.label}" for found in COMBINATIONS.values()),
    )
    made.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where to write warming.md, warming.json and plots (a full run: benchmarks/results; "
        "with --quick, --sizes or --only: nowhere)",
    )
    made.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    return made


def enough(text: str) -> int:
    """Return a number of which one in a hundred can change."""
    number = int(text)
    if number < 100:
        raise argparse.ArgumentTypeError(f"{number} is less than 100.")
    return number


if __name__ == "__main__":
    sys.exit(main())
