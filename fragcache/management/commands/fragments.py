"""``fragments``: what is declared, what the cache holds of it, and how it was warmed."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from django import db
from django.core.cache import InvalidCacheBackendError
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from fragcache import registry
from fragcache.declarations import Fragment
from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.explaining import explain
from fragcache.management.stating import caches_described, stats_lines
from fragcache.management.triggers import Refused, trigger_migration
from fragcache.management.verifying import add_options as add_verify_options
from fragcache.management.verifying import verify
from fragcache.models import WarmRun
from fragcache.reading.resolving import resolve, unpublished
from fragcache.store import store
from fragcache.warming.extents import Extent, extent_of
from fragcache.warming.history import Locks, described, is_untouched, progress_of

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 75


class Command(BaseCommand):
    help = (
        "Lists the declared fragments, explains one instance of one, lists the recorded runs of "
        "warm_fragments, says how the caches are, verifies what they hold, or writes the "
        "migration that moves a model's mtime."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="Every declared fragment.")
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
        stating = actions.add_parser(
            "stats", help="Whether the caches answer, and since when which guards are open."
        )
        stating.add_argument("--json", action="store_true", help="Print one JSON document.")
        add_verify_options(
            actions.add_parser("verify", help="Render again, and compare with what is stored.")
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
                self._stats(options)
            elif options["action"] == "verify":
                verify(self, options)
            elif options["action"] == "trigger":
                self._trigger(options)
            else:
                self._explain(options)
        except CacheUnavailable as error:
            message = f"The cache is unavailable: {error}"
            raise CommandError(message, returncode=EXIT_UNAVAILABLE) from error
        except (FragcacheError, InvalidCacheBackendError) as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error

    def _list(self, options: dict[str, Any]) -> None:
        rows = [_described(fragment) for fragment in registry.all_fragments()]
        if options["json"]:
            told = [row | {"warmed": row["warmed"] and row["warmed"].as_document()} for row in rows]
            document = {"format": 1, "fragments": told}
            self.stdout.write(json.dumps(document, indent=2, default=str))
        elif rows:
            self._table(rows)
        else:
            self.stderr.write(
                "No fragments are declared: add a fragments.py with @fragment to an installed app.",
                style_func=str,
            )

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
            self._table([_row(run, of, locks) for run, of in zip(runs, found, strict=True)])
        else:
            self.stderr.write(
                "No runs are recorded: each run of `manage.py warm_fragments` will be.",
                style_func=str,
            )

    def _stats(self, options: dict[str, Any]) -> None:
        found = caches_described()
        if options["json"]:
            self.stdout.write(json.dumps({"format": 1, "caches": found}, indent=2))
        else:
            for line in stats_lines(found):
                self.stdout.write(line)
        silent = [cache["alias"] for cache in found if cache["problem"]]
        if silent:
            names = ", ".join(map(repr, silent))
            raise CommandError(f"No answer from {names}.", returncode=EXIT_UNAVAILABLE)

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

    def _table(self, rows: Sequence[dict[str, Any]]) -> None:
        cells = [[str(key) for key in rows[0]]]
        cells += [[_cell(value) for value in row.values()] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for number, line in enumerate(cells):
            padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
            style = self.style.MIGRATE_HEADING if number == 0 else str
            self.stdout.write("  ".join(padded).rstrip(), style_func=style)

    def _explain(self, options: dict[str, Any]) -> None:
        fragment = resolve(options["name"], options["using"])
        if fragment is None:
            raise unpublished(options["name"])
        cache = store(options["using"] or fragment.using)
        args = [_value(text) for text in options["arguments"] if "=" not in text]
        pairs = [text.split("=", 1) for text in options["arguments"] if "=" in text]
        kwargs = {name: _value(text) for name, text in pairs}
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


def _value(text: str) -> Any:
    """Return what a template takes ``text`` for: a number, or a text with or without quotes."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _described(fragment: Fragment) -> dict[str, Any]:
    model = fragment.item_model
    paths = fragment.version_paths
    return {
        "name": fragment.name,
        "template": fragment.template_name,
        "items": model._meta.label if model else _kind_of_items(fragment),
        "version": ", ".join(paths) if paths else ("function" if fragment.is_versioned else None),
        "axes": list(fragment.axes),
        "choices": {name: list(values) for name, values in fragment.choices.items()},
        "timeout": fragment.effective_timeout,
        "max_age": fragment.effective_max_age,
        "using": fragment.using,
        "warmed": _extent(fragment),
    }


def _extent(fragment: Fragment) -> Extent | None:
    """Return how much of it is warmed; None where it is not, or items() raises."""
    with suppress(Exception):
        return extent_of(fragment) if fragment.is_warmable else None
    return None


def _kind_of_items(fragment: Fragment) -> str:
    if fragment.items is not None:
        return "listed"
    return "one" if fragment.is_warmable else "on demand"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={'|'.join(map(str, given))}" for name, given in value.items())
    if isinstance(value, list):
        return ",".join(value)
    return "" if value is None else str(value)
