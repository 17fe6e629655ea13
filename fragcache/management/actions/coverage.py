"""``fragments coverage``: its options, and what it says."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from fragcache import registry
from fragcache.contexts.asked import Asked, asked_lately
from fragcache.contexts.asking import source
from fragcache.contexts.coverage import Coverage, coverage
from fragcache.contexts.remote import TargetFragment
from fragcache.exceptions import UnknownFragment
from fragcache.keys import Encoded
from fragcache.management.options import add_verbosity
from fragcache.management.tables import ago

EXIT_MISSING: Final = 1
#: Missing instances of a fragment that are named without ``-v2``.
FIRST: Final = 5
_ALL: Final = 2

DESCRIPTION: Final = (
    "On a target: how many of the contexts that it asks for are there, how old, and which are "
    "missing. Exit codes: 0 all are there; 1 some are missing; 2 wrong usage; 75 the cache does "
    "not answer."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="Without, all of this site's remote fragments, and what it has fetched lately.",
    )
    parser.add_argument("--using", metavar="ALIAS", help="The cache alias to look into.")
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")
    add_verbosity(parser, "0: print errors only; 2: name all that is missing.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Say what there is of the fragments that the options name.

    Raises:
        UnknownFragment: this site declares no remote fragments, has fetched none lately as far as
            that is counted, and none is named.
        CacheUnavailable: the cache does not answer.
        CommandError: something is missing.
    """
    lately = asked_lately(options["using"])
    declared = [one.name for one in registry.all_fragments() if isinstance(one, TargetFragment)]
    names = options["names"] or [*declared, *lately]
    if not names:
        raise UnknownFragment(
            "This site declares no remote fragments: name those that it fetches contexts of."
        )
    most = None if options["verbosity"] >= _ALL else FIRST
    found = [coverage(name, options["using"], most=most) for name in names]
    for one in found:
        one.lately = lately.get(one.name)
    problem = _problem_of_source()
    if options["json"]:
        document = {
            "format": 1,
            "source": problem,
            "fragments": {one.name: _described(one) for one in found},
        }
        command.stdout.write(json.dumps(document, indent=2, default=str))
    elif options["verbosity"]:
        for line in _lines(found):
            command.stdout.write(line)
        if problem is not None:
            command.stdout.write(f"The source {f'is away: {problem}' if problem else 'answers'}.")
    if wanting := [one.name for one in found if not one.is_whole]:
        raise CommandError(f"Missing of {', '.join(wanting)}.", returncode=EXIT_MISSING)


def _problem_of_source() -> str | None:
    """Return why the source does not answer, nothing where it does; None where none is set."""
    asked = source()
    return None if asked is None else asked.answers()


def _described(one: Coverage) -> dict[str, Any]:
    return {
        "told": _rounded(one.told),
        "listed": one.is_listed,
        "lately": None if one.lately is None else one.lately._asdict(),
        "asked": len(one.ages) + one.missing,
        "there": len(one.ages),
        "missing": one.missing,
        "oldest": _rounded(one.oldest),
        "median": _rounded(one.median),
        "first_missing": [_named(*instance) for instance in one.named],
    }


def _lines(found: Sequence[Coverage]) -> list[str]:
    width = max(len(one.name) for one in found)
    lines = []
    for one in found:
        if one.told is None:
            said = "the source has not told of it"
        elif not one.is_listed:
            said = f"told of {ago(one.told)}; {_said_lately(one.lately)}"
        else:
            asked = len(one.ages) + one.missing
            said = f"{len(one.ages):,} of {asked:,} there"
            if one.oldest is not None and one.median is not None:
                said += f", oldest {ago(one.oldest)}, median {ago(one.median)}"
            said += f"; told of {ago(one.told)}"
        lines.append(f"{one.name:<{width}}  {said}")
        lines += [f"{'':<{width}}  missing: {_named(*instance)}" for instance in one.named]
        if left := one.missing - len(one.named):
            lines.append(f"{'':<{width}}  and {left:,} more: -v2 names them")
    return lines


def _said_lately(lately: Asked | None) -> str:
    if lately is None:
        return "without items, nobody knows what is asked for"
    there = lately.times - lately.missing
    return f"asked for {lately.times:,} times within an hour, {there:,} times there"


def _named(arguments: Sequence[Any], axis_values: Mapping[str, Any]) -> str:
    # A default of the source's is known by its place in keys alone.
    given = ", ".join(repr(one) for one in arguments if not isinstance(one, Encoded))
    values = ", ".join(f"{name}={value}" for name, value in axis_values.items())
    return f"({given}) {values}".rstrip()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
