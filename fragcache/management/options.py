"""The options of ``warm_fragments``: what is warmed, how, and what is said of it."""

from __future__ import annotations

import math
import os
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Final, TypeVar

from fragcache.warming.plan import BATCH_SIZE

Number = TypeVar("Number", int, float)
#: What fits the counters of processes, one of which has one more, and of itertools.
_MOST: Final = 2**31 - 2


def add_options(parser: ArgumentParser) -> None:
    """Add all of them."""
    _add_selection(parser)
    _add_work(parser)
    _add_bounds(parser)
    add_output(parser)


def add_axis(parser: ArgumentParser) -> None:
    """Add what restricts a command to some values of axes."""
    parser.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="Only this value of an axis, such as language=de; may be repeated.",
    )


def add_output(parser: ArgumentParser) -> None:
    """Add what says how a command tells what it does."""
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")
    parser.add_argument(
        "--progress",
        action="store_true",
        default=None,
        help="Show progress; default on a terminal.",
    )
    parser.add_argument(
        "--no-progress", action="store_false", dest="progress", help="Show no progress."
    )


def add_verbosity(parser: ArgumentParser, help: str) -> None:
    """Add the option of all commands to an action, before which it stands otherwise."""
    parser.add_argument(
        "-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=help
    )


def at_least(least: Number, kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """Return a converter of text to a number that is not less, and neither vast."""

    def convert(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            number = least - 1
        if not number >= least:  # NaN is neither
            raise ArgumentTypeError(f"{text!r} is not a number of {least} or more")
        if _MOST < number < math.inf:
            raise ArgumentTypeError(f"{text!r} is more than {_MOST:,}")
        return number

    return convert


def _add_selection(parser: ArgumentParser) -> None:
    parser.add_argument(
        "labels", nargs="*", metavar="APP|NAME", help="Apps or fragments; without, all."
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="APP|NAME",
        help="All but this app or fragment; may be repeated.",
    )
    parser.add_argument("--items", nargs="+", metavar="PK", help="Only these items.")
    add_axis(parser)
    parser.add_argument("--using", metavar="ALIAS", help="The cache alias to fill.")


def _add_work(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size",
        type=at_least(1, int),
        default=BATCH_SIZE,
        metavar="N",
        help="How many instances are read, rendered and stored at a time; default %(default)s.",
    )
    parser.add_argument(
        "--parallel",
        nargs="?",
        type=at_least(1, int),
        default=1,
        const=_processors(),
        metavar="N",
        help="Render in N processes; without N, in as many as there are processors.",
    )
    parser.add_argument(
        "--changed",
        action="store_true",
        help="Read only the rows that changed since the last completed run, where versions are "
        "times; all of them once a day at least.",
    )
    parser.add_argument(
        "--enqueue",
        action="store_true",
        help="Hand batches to the workers of django.tasks or Celery; with --wait, wait for them.",
    )
    parser.add_argument("--force", action="store_true", help="Render what is up to date as well.")
    parser.add_argument(
        "--dry-run", action="store_true", help="Say what would be done; store nothing."
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="Exit with 1 if anything is missing or stale; store nothing.",
    )


def _add_bounds(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=at_least(0, int), metavar="N", help="Render at most N instances."
    )
    parser.add_argument(
        "--time-budget",
        type=at_least(0.0, float),
        metavar="S",
        help="Begin no render after S seconds; what is missing comes first, then what is stale.",
    )
    parser.add_argument(
        "--max-rate",
        type=_above_zero,
        metavar="N",
        help="Render at most N instances a second, all processes together.",
    )
    parser.add_argument(
        "--wait",
        type=at_least(0.0, float),
        metavar="S",
        help="Wait up to S seconds for another run, or the workers, to end; else leave at once.",
    )


def _above_zero(text: str) -> float:
    number = at_least(0.0, float)(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _processors() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return (len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()) or 1
