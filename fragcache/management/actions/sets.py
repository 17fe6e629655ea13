"""``fragments sets``: its options, and what atomic sets there are."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from fragcache.management.options import add_verbosity
from fragcache.management.selection import check_alias
from fragcache.management.tables import ago
from fragcache.page import now
from fragcache.sets.records import Generation, Shown, names_of_sets, read_shown
from fragcache.sets.rolling import missing_members, no_such_set, rollback_set
from fragcache.store import Store, store

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_SECOND: Final = 1_000_000

DESCRIPTION: Final = (
    "Lists the atomic sets that were published in a cache, with what is shown of each and what it "
    "can be rolled back to; or rolls one back. Exit codes: 0; 1 members are missing, or you have "
    "declined; 2 wrong usage, an unknown name, or nothing to roll back to; 75 the cache does not "
    "answer."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.description = DESCRIPTION
    parser.add_argument("name", nargs="?", metavar="NAME", help="Without, all sets.")
    parser.add_argument(
        "--rollback", action="store_true", help="Show the former generation of NAME again."
    )
    parser.add_argument("--noinput", action="store_true", help="Roll back without asking.")
    parser.add_argument("--using", metavar="ALIAS", help="The cache alias that they are in.")
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")
    add_verbosity(parser, "0: print nothing.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Say what sets there are, or roll one back.

    Raises:
        SetMissing, SetIncomplete: there is no such set, or nothing to roll back to.
        CacheUnavailable: the cache does not answer.
        CommandError: members are missing, or the operator has declined.
    """
    check_alias(options["using"])
    cache, name = store(options["using"]), options["name"]
    if options["rollback"]:
        if not name:
            raise CommandError("--rollback needs the NAME of a set.", returncode=EXIT_USAGE)
        _roll_back(command, cache, options)
        return
    found = {one: read_shown(cache, one) for one in ([name] if name else names_of_sets(cache))}
    if name and found[name] is None:
        raise no_such_set(name)
    described = {one: _described(cache, one, shown) for one, shown in found.items() if shown}
    if options["json"]:
        command.stdout.write(json.dumps({"format": 1, "sets": described}, indent=2))
    elif options["verbosity"]:
        for line in _lines(described):
            command.stdout.write(line)
    if wanting := [one for one, about in described.items() if about["current"]["missing"]]:
        raise CommandError(f"Members of {', '.join(wanting)} are missing.", returncode=EXIT_FAILED)


def _roll_back(command: BaseCommand, cache: Store, options: dict[str, Any]) -> None:
    name = options["name"]
    shown = read_shown(cache, name)
    if shown is None:
        raise no_such_set(name)
    if not options["noinput"] and shown.former is not None:
        command.stdout.write(f"{name}: {_said(_of(cache, name, shown.current))} is shown now.")
        question = f"Show {_said(_of(cache, name, shown.former))} again? [y/N] "
        if _answer(question) not in {"y", "yes"}:
            raise CommandError("Nothing was rolled back.", returncode=EXIT_FAILED)
    rolled_back = rollback_set(name, using=options["using"])
    if options["verbosity"]:
        of = rolled_back.current
        command.stdout.write(f"{name}: {_said(_of(cache, name, of))} is shown again.")


def _answer(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        message = "Nobody is there to answer, and nothing was rolled back: give --noinput."
        raise CommandError(message, returncode=EXIT_USAGE) from None


def _described(cache: Store, name: str, shown: Shown) -> dict[str, Any]:
    former = None if shown.former is None else _of(cache, name, shown.former)
    return {
        "current": _of(cache, name, shown.current),
        "former": former,
        "rolled_back": shown.is_rolled_back,
    }


def _of(cache: Store, name: str, generation: Generation) -> dict[str, Any]:
    return {
        "generation": generation.name,
        "age": round((now() - generation.shown_at) / _SECOND, 1),
        "members": generation.members,
        "missing": min(generation.members, missing_members(cache, name, generation)),
        "fragments": sorted(generation.fragments),
    }


def _lines(described: dict[str, dict[str, Any]]) -> list[str]:
    if not described:
        return ["No sets were published in this cache."]
    width = max(map(len, described))
    lines = []
    for name, about in described.items():
        again = ", rolled back to" if about["rolled_back"] else ""
        lines.append(f"{name:<{width}}  {_said(about['current'])}{again}")
        if about["former"] is not None:
            lines.append(f"{'':<{width}}  before it: {_said(about['former'])}")
    return lines


def _said(generation: dict[str, Any]) -> str:
    there = generation["members"] - generation["missing"]
    number = len(generation["fragments"])
    return (
        f"{there:,} of {generation['members']:,} members of {number} "
        f"fragment{'' if number == 1 else 's'}, first shown {ago(generation['age'])}"
    )
