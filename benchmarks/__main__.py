"""Measure fragcache beside its peers, all in one run, on servers that are started for it.

Prints Markdown tables, and with --output also writes them there with plots and all samples.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import bounds, report
from benchmarks.extent import Extent
from benchmarks.measuring import Results
from benchmarks.servers import NAMES, running

RESULTS = Path(__file__).parent / "results"
ROUNDS = 30
QUICK_ROUNDS = 7
SIZES = (1, 10, 100, 1000)
QUICK_SIZES = (1, 100)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return the exit code."""
    options = parser().parse_args(arguments)
    names = [name for name in NAMES if name in (options.only or NAMES)]
    prefix = "fragcache-bench-"
    with tempfile.TemporaryDirectory(prefix=prefix) as directory, running(names) as missing:
        os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"] = directory
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        import django

        django.setup()
        from benchmarks import machine, run
        from fragcache.stats.collecting import collector

        extent = Extent(
            sizes=QUICK_SIZES if options.quick else SIZES,
            rounds=options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
        )
        present = [name for name in names if name not in missing]
        results, servers = run.measure(present, extent)
        collector.end()  # while its database is there
        results.notes += [f"{name} is not measured. {why}" for name, why in missing.items()]
        described = machine.describe(servers)
    return publish(results, extent.words, options, described)


def publish(
    results: Results,
    how: str,
    options: argparse.Namespace,
    described: dict[str, str],
) -> int:
    """Print and write the report; return the exit code."""
    found = bounds.bounds(results)
    print(report.markdown(results, found, described, how, plots=False))
    directory = output(options)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        plots = importlib.util.find_spec("matplotlib") is not None
        text = report.markdown(results, found, described, how, plots=plots)
        (directory / "results.md").write_text(text)
        (directory / "results.json").write_text(report.as_json(results, found, described, how))
        if plots:
            from benchmarks.plots import write

            write(results, directory)
        else:
            print("No plots: matplotlib is not installed.", file=sys.stderr)
    return 1 if options.check and bounds.is_missed(found) else 0


def output(options: argparse.Namespace) -> Path | None:
    """Return the directory to write to; a partial run does not replace what a full one wrote."""
    is_full = not options.quick and not options.only
    return options.output or (RESULTS if is_full else None)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="With make: make bench ARGS='--quick --only redis'.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help=f"rounds per table, a third for N=1000 ({ROUNDS}; {QUICK_ROUNDS} with --quick)",
    )
    made.add_argument("--quick", action="store_true", help="N=1 and 100 only, in few rounds")
    made.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        metavar="SERVER",
        help=f"{', '.join(NAMES)}; several times for several",
    )
    made.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where to write results.md, results.json and plots (a full run: benchmarks/results; "
        "with --quick or --only: nowhere)",
    )
    made.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    return made


def positive(text: str) -> int:
    """Return a number of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1.")
    return number


if __name__ == "__main__":
    sys.exit(main())
