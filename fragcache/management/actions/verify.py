"""``fragments verify``: its options, and what it says."""

from __future__ import annotations

import json
import secrets
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from fragcache import registry
from fragcache.declarations import Fragment
from fragcache.exceptions import InvalidArguments, UnknownFragment
from fragcache.management.options import add_axis, add_output, add_verbosity, at_least
from fragcache.management.progress import Progress
from fragcache.management.selection import axis_values_of, check_alias, named
from fragcache.management.signals import Signals
from fragcache.verifying import SAMPLE, Finding, Kind, Report, Tally, Verification, VerifyPlan
from fragcache.verifying.report import Verified
from fragcache.verifying.verification import ON_DEMAND
from fragcache.warming.batches import size_of

EXIT_WRONG: Final = 1

DESCRIPTION: Final = (
    "Renders a sample of instances again and compares each with the entry that pages would show. "
    "It writes nothing. Exit codes: 0 all is sound; 1 an entry is wrong, renders in a row differ, "
    "a key is too narrow, or a render fails; 2 wrong usage; 75 the cache does not answer."
)
ALL: Final = "all"


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="Fragments or apps; without, all fragments."
    )
    parser.add_argument(
        "--sample",
        type=_sample,
        default=SAMPLE,
        metavar="N",
        help="About how many instances of each fragment, chosen by chance; or all. Items are "
        "taken with all their choices and axis values. Default %(default)s.",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="Choose as the run did that printed this seed."
    )
    add_axis(parser)
    parser.add_argument("--using", metavar="ALIAS", help="The cache alias to look into.")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="Exit with 1 as well if a fragment without a version is older than its data.",
    )
    add_output(parser)
    add_verbosity(parser, "0: print only what is wrong.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Verify what the options name, and say what was found.

    Raises:
        UnknownFragment, UnknownAxis, InvalidArguments: the options name what there is not.
        CacheUnavailable: the cache does not answer.
        CommandError: something is wrong, or a signal came.
    """
    plan = _plan(options)
    printer = _Printer(command, options)
    progress = Progress(
        command.stderr,
        lambda: _size(plan),
        is_wanted=options["progress"],
        verbosity=options["verbosity"],
    )
    with Signals() as signals, progress:
        verification = Verification(
            plan,
            after_batch=progress.advance,
            after_fragment=printer.tell_findings,
            is_stopped=lambda: signals.received is not None,
        )
        report = verification.execute()
    printer.tell(report, plan)
    if signals.received is not None:
        raise CommandError("Interrupted: not all was verified.", returncode=128 + signals.received)
    if report.faults(strict=options["strict"]):
        raise CommandError(_what_is_wrong(report, strict=options["strict"]), returncode=EXIT_WRONG)


class _Printer:
    """Prints what is found as it is found, and the counts at the end; or one document."""

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self._command = command
        self._options = options

    def tell_findings(self, fragment: Fragment, verified: Verified) -> None:
        if self._options["json"]:
            return
        for finding in verified.findings:
            if self._options["verbosity"] or finding.kind not in {Kind.OUTDATED, Kind.TOO_WIDE}:
                self._tell(finding)
        if verified.left_out:
            self._command.stdout.write(f"{fragment.name}: {verified.left_out:,} findings more.\n\n")

    def tell(self, report: Report, plan: VerifyPlan) -> None:
        out = self._command.stdout
        if self._options["json"]:
            document = report.as_document(
                seed=plan.seed, sample=plan.sample, strict=self._options["strict"]
            )
            out.write(json.dumps(document, indent=2))
        elif self._options["verbosity"]:
            width = max(map(len, report.fragments), default=0)
            for name, verified in report.fragments.items():
                style = self._command.style.ERROR if verified.tally.faults else str
                line = verified.note or _summary(verified.tally)
                out.write(f"{name:<{width}}  {line}", style_func=style)
            if plan.sample is not None:
                self._command.stderr.write(f"Chosen with --seed {plan.seed}.", style_func=str)

    def _tell(self, finding: Finding) -> None:
        out, style = self._command.stdout, self._command.style
        where = ", ".join(filter(None, (finding.instance or finding.fragment, finding.axes)))
        is_advice = finding.kind in {Kind.OUTDATED, Kind.TOO_WIDE}
        out.write(
            f"{where}: {finding.kind}", style_func=style.WARNING if is_advice else style.ERROR
        )
        for text in (finding.about, finding.key, finding.remedy):
            if text:
                out.write(f"  {text}")
        for line in finding.diff.splitlines():
            out.write(f"    {line}")
        out.write("")


def _plan(options: dict[str, Any]) -> VerifyPlan:
    check_alias(options["using"])
    fragments = _selected(options["names"])
    return VerifyPlan(
        fragments=fragments,
        using=options["using"],
        axis_values=axis_values_of(options["axis"], fragments),
        sample=None if options["sample"] == ALL else options["sample"],
        seed=secrets.randbelow(10**6) if options["seed"] is None else options["seed"],
    )


def _selected(names: Sequence[str]) -> list[Fragment]:
    fragments = registry.all_fragments()
    if not fragments:
        raise UnknownFragment(
            "No fragments are declared here, so there is nothing to render and compare: verify "
            "on the site that declares them."
        )
    chosen = list(named(names, fragments)) if names else fragments
    for fragment in chosen:
        if fragment.name in names and not fragment.is_warmable:
            raise InvalidArguments(f"{fragment.name} cannot be verified. {ON_DEMAND}")
    return chosen


def _sample(text: str) -> int | str:
    if text == ALL:
        return ALL
    try:
        return at_least(1, int)(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}, or {ALL!r}") from error


def _size(plan: VerifyPlan) -> int | None:
    """Return how many instances will be looked at, None where that is not cheap."""
    total = 0
    for fragment in plan.fragments:
        size = None
        with suppress(Exception):  # the verification itself tells what items() raises
            size = size_of(fragment) if fragment.is_warmable else 0
        if size is None:
            return None
        found = size * len(plan.combinations(fragment))
        total += found if plan.sample is None else min(found, plan.sample)
    return total


def _summary(tally: Tally) -> str:
    parts = [f"{tally.instances:>7,} instances", f"{tally.compared:>7,} compared"]
    for name, words in _WORDS.items():
        if number := getattr(tally, name):
            parts.append(f"{number:,} {words}")
    return f"{'  '.join(parts)}  {tally.seconds:6.1f} s"


_WORDS: Final = {
    "missing": "missing",
    "stale": "stale",
    "wrong": "wrong",
    "outdated": "outdated",
    "not_deterministic": "not deterministic",
    "too_narrow": "too narrow",
    "too_wide": "too wide",
    "skipped": "changed meanwhile",
    "failed": "failed",
}


def _what_is_wrong(report: Report, *, strict: bool) -> str:
    totals = report.totals
    counts = {
        "wrong": totals.wrong,
        "outdated": totals.outdated if strict else 0,
        "not deterministic": totals.not_deterministic,
        "failed": totals.failed,
    }
    said = [f"{number:,} {words}" for words, number in counts.items() if number]
    if totals.too_narrow:
        keys = "key is" if totals.too_narrow == 1 else "keys are"
        said.append(f"{totals.too_narrow:,} {keys} too narrow")
    return f"Of {totals.instances:,} instances: {', '.join(said)}."
