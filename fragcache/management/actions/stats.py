"""``fragments stats``: how the caches are, and what each fragment costs and earns."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Collection, Sequence
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from fragcache import registry
from fragcache.events import Miss
from fragcache.exceptions import CountsUnavailable, UnknownFragment
from fragcache.management.actions.stating import caches_described, stats_lines
from fragcache.management.tables import write_table
from fragcache.readable import time_text
from fragcache.stats.history import SPANS
from fragcache.stats.ledger import Account, accounts
from fragcache.suggestions import did_you_mean

_EXIT_USAGE: Final = 2
_EXIT_UNAVAILABLE: Final = 75
_NUMBERS: Final = (
    *("hits", "hits_local", "stale_served", "renders", "warmed", "stored", "waits", "errors"),
    "bypassed",
)
_MEASURES: Final = (
    *("render", "render_p50", "render_p95", "lookup", "store", "wait", "size"),
    *("age_p50", "age_p99", "saved_per_hour"),
)
#: Seconds between two looks of ``--watch``.
WATCH: Final = 5.0
#: Clears a terminal's screen, and begins at its top.
_CLEAR: Final = "\x1b[2J\x1b[H"


def add_options(parser: ArgumentParser) -> None:
    """Add the options of ``fragments stats``."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="Fragments or apps; all without any."
    )
    parser.add_argument(
        "--last", choices=SPANS, default="1h", help="The time looked at; default %(default)s."
    )
    parser.add_argument("--by-axes", action="store_true", help="A row for each set of axis values.")
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=WATCH,
        metavar="SECONDS",
        help="Look again and again, until it is interrupted; every %(const)g seconds.",
    )


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the stats, once or again and again.

    Raises:
        UnknownFragment: a name is neither declared nor counted.
        CommandError: a cache does not answer.
    """
    if options["watch"] is None:
        _state_once(command, options)
        return
    if options["json"]:
        message = "--watch and --json exclude each other: a document is printed once."
        raise CommandError(message, returncode=_EXIT_USAGE)
    try:
        while True:
            command.stdout.write(_CLEAR if command.stdout.isatty() else "", ending="")
            try:
                _state_once(command, options)
            except CommandError as error:
                command.stderr.write(str(error))
            command.stdout.flush()
            time.sleep(options["watch"])
    except KeyboardInterrupt:
        return


def _state_once(command: BaseCommand, options: dict[str, Any]) -> None:
    caches = caches_described()
    found, problem = _accounts(options)
    if options["json"]:
        document = {
            "format": 1,
            "caches": caches,
            "seconds": SPANS[options["last"]],
            "fragments": [described_account(account) for account in found],
            "problem": problem,
        }
        command.stdout.write(json.dumps(document, indent=2))
    else:
        for line in stats_lines(caches):
            command.stdout.write(line)
        if found:
            command.stdout.write("")
            write_table(command, [_row(account, by_axes=options["by_axes"]) for account in found])
        else:
            said = problem or f"Nothing was counted in the last {options['last']}."
            command.stderr.write(said, style_func=str)
    silent = [cache["alias"] for cache in caches if cache["problem"]]
    if silent:
        names = ", ".join(map(repr, silent))
        raise CommandError(f"No answer from {names}.", returncode=_EXIT_UNAVAILABLE)


def _accounts(options: dict[str, Any]) -> tuple[list[Account], str]:
    """Return the accounts that are asked for, and what is wrong with the counts."""
    try:
        found = accounts(SPANS[options["last"]], by_axes=options["by_axes"])
    except CountsUnavailable as error:
        return [], str(error)
    known = {account.fragment for account in found}
    known |= {fragment.name for fragment in registry.all_fragments()}
    wanted = {name for label in options["names"] for name in _named(label, known)}
    return [one for one in found if not wanted or one.fragment in wanted], ""


def _named(label: str, known: Collection[str]) -> Sequence[str]:
    found = [name for name in known if name == label or name.startswith(f"{label}.")]
    if not found:
        candidates = {*known, *(name.partition(".")[0] for name in known)}
        raise UnknownFragment(
            f"No fragment and no app with fragments is called {label!r}."
            f"{did_you_mean(label, candidates)}"
        )
    return found


def _row(account: Account, *, by_axes: bool) -> dict[str, Any]:
    axes = {"axes": account.axes} if by_axes else {}
    saved = account.saved_per_hour
    return {
        "name": account.fragment,
        **axes,
        "lookups": f"{account.lookups:,}",
        "hits": "" if account.hit_ratio is None else f"{account.hit_ratio:.1%}",
        "stale": account.stale_served or None,
        "missed": ", ".join(
            f"{reason_in_words(reason)} {times:,}" for reason, times in _largest_first(account)
        ),
        "renders": f"{account.renders:,}",
        "p50": time_text(account.render_p50),
        "p95": time_text(account.render_p95),
        "lookup": time_text(account.lookup),
        "age p50": time_text(account.age_p50),
        "age p99": time_text(account.age_p99),
        "errors": account.errors or None,
        "saved/h": "" if saved is None else f"{'-' if saved < 0 else ''}{time_text(abs(saved))}",
        "verdict": account.verdict.value,
    }


def described_account(account: Account) -> dict[str, Any]:
    """Return an account as JSON; times are in seconds, sizes in bytes."""
    ratio = account.hit_ratio
    return {
        "name": account.fragment,
        "axes": account.axes,
        "lookups": account.lookups,
        "hit_ratio": None if ratio is None else round(ratio, 4),
        **{name: getattr(account, name) for name in _NUMBERS},
        "misses": {reason_in_words(reason): times for reason, times in _largest_first(account)},
        **{name: _rounded(getattr(account, name)) for name in _MEASURES},
        "verdict": account.verdict.value,
    }


def _largest_first(account: Account) -> list[tuple[Miss, int]]:
    return sorted(account.misses.items(), key=lambda item: -item[1])


def reason_in_words(reason: Miss) -> str:
    return reason.name.lower().replace("_", " ")


def _rounded(measure: float | None) -> float | None:
    return None if measure is None else round(measure, 9)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3_600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds
