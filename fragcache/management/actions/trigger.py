"""``fragments trigger``: the migration that moves a model's mtime."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from fragcache.management.trigger_migrations import (
    Refused,
    TriggerMigration,
    trigger_migration,
)

_EXIT_FAILED: Final = 1
_EXIT_USAGE: Final = 2


def add_options(parser: ArgumentParser) -> None:
    """Add the options of ``fragments trigger``."""
    parser.add_argument("model", metavar="APP.MODEL")
    parser.add_argument("--dry-run", action="store_true", help="Print it instead.")
    parser.add_argument("--check", action="store_true", help="Exit with 1 if it is missing.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Write the migration, or say what there is.

    Raises:
        CommandError: there is no such migration, or it is missing where that is asked for.
    """
    try:
        migration = trigger_migration(options["model"])
    except Refused as error:
        raise CommandError(str(error), returncode=_EXIT_USAGE) from error
    if migration.made_by:
        command.stdout.write(f"The migration {migration.made_by} makes these triggers.")
    elif options["check"]:
        message = f"No migration makes these triggers: {migration.path.name} is missing."
        raise CommandError(message, returncode=_EXIT_FAILED)
    elif options["dry_run"]:
        command.stdout.write(migration.text, ending="")
    else:
        _write(migration)
        command.stdout.write(f"Wrote {migration.path}: run `manage.py migrate`.")
    if migration.left_out:
        command.stderr.write(
            f"No trigger follows {', '.join(map(repr, migration.left_out))} of its touches, "
            "over several tables: these move by the ORM alone.",
            style_func=str,
        )


def _write(migration: TriggerMigration) -> None:
    try:
        migration.path.write_text(migration.text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{migration.path} cannot be written: {error.strerror}. Use --dry-run, and save what "
            "it prints.",
            returncode=_EXIT_FAILED,
        ) from error
