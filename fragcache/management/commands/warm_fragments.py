"""``warm_fragments``: bring every fragment up to date; made to be run by cron."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from functools import partial
from typing import Any, Final

from django import db
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError

from fragcache import conf
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.management.enqueueing import enqueue
from fragcache.management.options import add_options
from fragcache.management.progress import Progress, size_of_all
from fragcache.management.selection import axis_values_of, check_alias, check_items, selected
from fragcache.management.signals import Signals
from fragcache.stats.worth import most_worth_first, worths
from fragcache.store import store
from fragcache.warming import (
    Locked,
    LockUnavailable,
    Plan,
    Report,
    Run,
    Status,
    Tally,
)
from fragcache.warming.crews import Alone
from fragcache.warming.distributed import turn
from fragcache.warming.extents import extents
from fragcache.warming.recording import Recording
from fragcache.warming.workers import Workers

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 75


class Command(BaseCommand):
    help = (
        "Renders the fragments that are missing or changed and stores them in the cache, so that "
        "no visitor waits for them."
    )
    requires_migrations_checks = False
    #: What it needs; advice on models is not for each run of cron.
    requires_system_checks = (Tags.caches, Tags.templates)

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_options(parser)

    def handle(self, *_labels: Any, **options: Any) -> None:
        plan = self._plan(options)
        if options["verbosity"] > 1 and not plan.dry:
            for name, extent in _said_extents(plan).items():
                self.stderr.write(f"{name}: {extent}", style_func=str)
        if options["enqueue"]:
            self._enqueue(plan, options)
            return
        progress = Progress(
            self.stderr,
            partial(size_of_all, plan),
            is_wanted=options["progress"],
            verbosity=options["verbosity"],
        )
        report = Report()
        recording = Recording(options, report)

        def after_batch(fragment: Fragment, walked: int) -> None:
            progress.advance(fragment, walked)
            recording.update()

        with Signals() as signals, progress:
            run = Run(
                plan,
                after_batch=after_batch,
                on_due=self._name_due if options["verbosity"] > 1 else None,
                is_stopped=lambda: signals.received is not None,
                report=report,
                crew=Workers(options["parallel"]) if options["parallel"] > 1 else Alone(),
            )
            problem = self._execute(run, recording, options["wait"])
        self._print(plan, run.report, options)
        self._exit(run.report, problem, signals.received, options)

    def _enqueue(self, plan: Plan, options: dict[str, Any]) -> None:
        enqueued = enqueue(plan, options, self.stderr)
        if enqueued.has_counts or options["json"]:
            self._print(plan, enqueued.report, options)
        if enqueued.code:
            raise CommandError(enqueued.line, returncode=enqueued.code)
        if enqueued.line:
            self._say(enqueued.line, options)

    def _plan(self, options: dict[str, Any]) -> Plan:
        if conf.settings().READ_ONLY:
            raise CommandError(
                "FRAGCACHE['READ_ONLY'] is set: this site only reads. Run warm_fragments on the "
                "source.",
                returncode=EXIT_USAGE,
            )
        try:
            check_alias(options["using"])
            fragments = selected(options["labels"], options["exclude"])
            axis_values = axis_values_of(options["axis"], fragments)
            if options["items"]:
                check_items(fragments, options["items"])
        except FragcacheError as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        except db.Error as error:
            said = str(error).strip()
            raise CommandError(f"--items cannot be looked up: {said}") from error
        # Where all is rendered, the order is that of names.
        known = {} if options["time_budget"] is None else worths()
        return Plan(
            fragments=most_worth_first(fragments, known),
            worths=known,
            using=options["using"],
            only=options["items"],
            axis_values=axis_values,
            batch_size=options["batch_size"],
            changed=options["changed"] and not options["force"],
            force=options["force"],
            dry=_is_dry(options),
            check=options["check"],
            limit=options["limit"],
            max_rate=options["max_rate"],
            time_budget=options["time_budget"],
        )

    def _execute(self, run: Run, recording: Recording, wait: float | None) -> str:
        """Execute under the lock; return what went wrong as a sentence."""
        using = run.plan.using
        lock = turn(store(using), using, wait or 0.0, run.is_stopped)
        try:
            if run.plan.dry:
                run.execute()
            else:
                with lock, recording:
                    run.execute()
        except Locked as error:
            run.report.status = Status.INTERRUPTED if run.is_stopped() else Status.LOCKED
            return str(error)
        except LockUnavailable as error:
            run.report.status = Status.UNAVAILABLE
            return str(error)
        except CacheUnavailable as error:
            run.report.status = Status.UNAVAILABLE
            return f"The cache is unavailable: {error}"
        return ""

    def _name_due(self, fragment: Fragment, instance: Instance) -> None:
        given = ", ".join(map(repr, instance.arguments))
        self.stderr.write(f"{fragment.name}({given})", style_func=str)

    def _print(self, plan: Plan, report: Report, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(report.as_document(), indent=2))
        elif options["verbosity"]:
            width = max(map(len, report.fragments), default=0)
            products = _said_extents(plan) if options["dry_run"] else {}
            for name, tally in report.fragments.items():
                summary = _summary(tally, is_dry=plan.dry)
                line = f"{name:<{width}}  {summary}  {products.get(name, '')}".rstrip()
                has_failed = tally.failed or tally.refused
                self.stdout.write(line, style_func=self.style.ERROR if has_failed else str)

    def _exit(
        self, report: Report, problem: str, signum: int | None, options: dict[str, Any]
    ) -> None:
        totals = report.totals
        if report.status is Status.LOCKED:
            if options["wait"]:
                raise CommandError(f"{problem} --wait ran out.", returncode=EXIT_UNAVAILABLE)
            self._say(problem, options)
        elif report.status is Status.UNAVAILABLE:
            raise CommandError(problem, returncode=EXIT_UNAVAILABLE)
        elif report.status is Status.INTERRUPTED and signum is not None:
            raise CommandError(report.problem, returncode=128 + signum)
        elif report.status is Status.FAILED:
            raise CommandError(report.problem, returncode=EXIT_FAILED)
        elif report.status is Status.INCOMPLETE:
            self._say(_what_is_left(report, options), options)
        if options["check"] and totals.due:
            raise CommandError(
                f"{totals.due:,} of {totals.planned:,} are missing or stale.",
                returncode=EXIT_FAILED,
            )

    def _say(self, line: str, options: dict[str, Any]) -> None:
        if options["verbosity"]:
            self.stderr.write(line, style_func=str)


def _said_extents(plan: Plan) -> dict[str, str]:
    """Return the product of each fragment's items, choices and axis values, where it is known."""
    return {name: str(extent) for name, extent in extents(plan).items() if extent is not None}


def _summary(tally: Tally, *, is_dry: bool) -> str:
    parts = [f"{tally.planned:>7,} planned", f"{tally.fresh:>7,} fresh"]
    if is_dry:
        parts.append(f"{tally.due:>7,} to render")
    else:
        parts += [f"{tally.rendered:>7,} rendered", f"{tally.stored:>7,} stored"]
    for word in ("refused", "failed"):
        if number := getattr(tally, word):
            parts.append(f"{number:,} {word}")
    return f"{'  '.join(parts)}  {tally.seconds:6.1f} s"


def _what_is_left(report: Report, options: dict[str, Any]) -> str:
    """Say which bound ended the run; a limit is reached when that many are rendered."""
    limit, budget = options["limit"], options["time_budget"]
    # Without a budget it was the limit, also where the last one that it granted was deleted.
    if limit is not None and (budget is None or report.totals.rendered >= limit):
        return f"The limit of {limit:,} renders was reached; run again for the rest."
    left = report.totals.left
    return (
        f"The time budget of {budget:g} s is used up. Left are {left:,} that are "
        "missing or stale, and what was not looked at; run again for the rest."
    )


def _is_dry(options: dict[str, Any]) -> bool:
    return bool(options["dry_run"] or options["check"])
