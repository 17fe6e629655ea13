"""``fragments``: what is declared, what the cache holds of it, and how it was warmed."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

from django import db
from django.core.cache import InvalidCacheBackendError
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from fragcache import registry
from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.explaining import explain
from fragcache.management.accounting import add_options as add_stats_options
from fragcache.management.accounting import state
from fragcache.management.arguments import arguments_of
from fragcache.management.covering import add_options as add_coverage_options
from fragcache.management.covering import cover
from fragcache.management.invalidating import add_options as add_invalidate_options
from fragcache.management.invalidating import invalidate
from fragcache.management.listing import described_blocks, described_fragment
from fragcache.management.tables import write_table
from fragcache.management.triggers import Refused, trigger_migration
from fragcache.management.verifying import add_options as add_verify_options
from fragcache.management.verifying import verify
from fragcache.models import WarmRun
from fragcache.reading.resolving import resolve, unpublished
from fragcache.store import store
from fragcache.warming.history import Locks, described, is_untouched, progress_of

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 75


class Command(BaseCommand):
    help = (
        "Lists the declared fragments or the blocks of templates, explains one instance, "
        "invalidates instances, fragments or blocks, lists the recorded runs of "
        "warm_fragments, says how the caches are, verifies what they hold, tells a target what it "
        "misses, or writes the "
        "migration that moves a model's mtime."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="Every declared fragment.")
        listing.add_argument(
            "--blocks", action="store_true", help="Every {%% cache %%} block of Django's templates."
        )
        listing.add_argument("--json", action="store_true", help="Print one JSON document.")
        explaining = actions.add_parser(
            "explain", help="Each part of an instance's keys, and why it is or is not current."
        )
        explaining.add_argument("name", metavar="NAME")
        explaining.add_argument(
            "arguments", nargs="*", metavar="ARG", help="As in a template: 12, or variant=row."
        )
        explaining.add_argument("--using", metavar="ALIAS")
        explaining.add_argument("--json", action="store_true", help="Print one JSON document.")
        running = actions.add_parser(
            "runs", help="The recorded runs of warm_fragments, the newest first."
        )
        running.add_argument(
            "--limit",
            type=_at_least_one,
            default=20,
            metavar="N",
            help="How many; default %(default)s.",
        )
        running.add_argument("--json", action="store_true", help="Print one JSON document.")
        add_stats_options(
            actions.add_parser(
                "stats", help="How the caches are, and what each fragment costs and earns."
            )
        )
        add_verify_options(
            actions.add_parser("verify", help="Render again, and compare with what is stored.")
        )
        add_invalidate_options(
            actions.add_parser("invalidate", help="Let an instance, or all, be rendered anew.")
        )
        add_coverage_options(
            actions.add_parser("coverage", help="On a target: which contexts are there.")
        )
        moving = actions.add_parser(
            "trigger", help="Write the PostgreSQL migration that moves a model's mtime."
        )
        moving.add_argument("model", metavar="APP.MODEL")
        moving.add_argument("--dry-run", action="store_true", help="Print it instead.")
        moving.add_argument("--check", action="store_true", help="Exit with 1 if it is missing.")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if options["action"] == "list":
                self._list(options)
            elif options["action"] == "runs":
                self._runs(options)
            elif options["action"] == "stats":
                state(self, options)
            elif options["action"] == "verify":
                verify(self, options)
            elif options["action"] == "coverage":
                cover(self, options)
            elif options["action"] == "trigger":
                self._trigger(options)
            elif options["action"] == "invalidate":
                invalidate(self, options)
            else:
                self._explain(options)
        except CacheUnavailable as error:
            message = f"The cache is unavailable: {error}"
            raise CommandError(message, returncode=EXIT_UNAVAILABLE) from error
        except (FragcacheError, InvalidCacheBackendError) as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error

    def _list(self, options: dict[str, Any]) -> None:
        if options["blocks"]:
            self._list_blocks(options)
            return
        rows = [described_fragment(fragment) for fragment in registry.all_fragments()]
        if options["json"]:
            told = [row | {"warmed": row["warmed"] and row["warmed"].as_document()} for row in rows]
            document = {"format": 1, "fragments": told}
            self.stdout.write(json.dumps(document, indent=2, default=str))
        elif rows:
            write_table(self, rows)
        else:
            self.stderr.write(
                "No fragments are declared: add a fragments.py with @fragment to an installed app.",
                style_func=str,
            )

    def _list_blocks(self, options: dict[str, Any]) -> None:
        rows = described_blocks()
        if options["json"]:
            self.stdout.write(json.dumps({"format": 1, "blocks": rows}, indent=2))
        elif rows:
            write_table(self, [{key: row[key] for key in row if key != "using"} for row in rows])
        else:
            self.stderr.write("No template has a {% cache %} block of fragcache.", style_func=str)

    def _runs(self, options: dict[str, Any]) -> None:
        try:
            runs = list(WarmRun.objects.all()[: options["limit"]])
        except (db.Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
            said = str(error).strip().partition("\n")[0].removesuffix(".")
            raise CommandError(
                f"The recorded runs cannot be read: {said}. If the table is missing, `manage.py "
                "migrate fragcache` makes it.",
                returncode=EXIT_FAILED,
            ) from error
        locks = Locks()
        found = [described(run, locks) for run in runs]
        if options["json"]:
            self.stdout.write(json.dumps({"format": 1, "runs": found}, indent=2))
        elif found:
            write_table(self, [_row(run, of, locks) for run, of in zip(runs, found, strict=True)])
        else:
            self.stderr.write(
                "No runs are recorded: each run of `manage.py warm_fragments` will be.",
                style_func=str,
            )

    def _trigger(self, options: dict[str, Any]) -> None:
        try:
            migration = trigger_migration(options["model"])
        except Refused as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        if migration.made_by:
            self.stdout.write(f"The migration {migration.made_by} makes these triggers.")
        elif options["check"]:
            message = f"No migration makes these triggers: {migration.path.name} is missing."
            raise CommandError(message, returncode=EXIT_FAILED)
        elif options["dry_run"]:
            self.stdout.write(migration.text, ending="")
        else:
            migration.path.write_text(migration.text, encoding="utf-8")
            self.stdout.write(f"Wrote {migration.path}: run `manage.py migrate`.")
        if migration.left_out:
            self.stderr.write(
                f"No trigger follows {', '.join(map(repr, migration.left_out))} of its touches, "
                "over several tables: these move by the ORM alone.",
                style_func=str,
            )

    def _explain(self, options: dict[str, Any]) -> None:
        fragment = resolve(options["name"], options["using"])
        if fragment is None:
            raise unpublished(options["name"])
        cache = store(options["using"] or fragment.using)
        args, kwargs = arguments_of(options["arguments"])
        rows = explain(fragment, cache, *args, **kwargs)
        if options["json"]:
            self.stdout.write(json.dumps(dict(rows), indent=2))
            return
        width = max(len(label) for label, _text in rows)
        for label, text in rows:
            self.stdout.write(f"{label:<{width}}  {text}")


def _row(run: WarmRun, found: dict[str, Any], locks: Locks) -> dict[str, Any]:
    began = run.started_at
    began = timezone.localtime(began) if timezone.is_aware(began) else began
    took = found["seconds"]
    status = "enqueued" if is_untouched(run, locks) else found["status"]
    return {
        "started": f"{began:%Y-%m-%d %H:%M:%S}",
        "took": "" if took is None else f"{took:,.1f} s",
        "host": run.host,
        "status": f"{status} {progress_of(run, locks)}".rstrip(),
        **found["totals"],
    }


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)
