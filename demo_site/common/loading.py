"""What the commands that load data files have in common."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError, models

DATA = Path(__file__).resolve().parents[1] / "data"


@dataclass(kw_only=True)
class Loaded:
    """How many rows were added and changed; the others were as they should be."""

    added: int = 0
    changed: int = 0

    def synchronise(
        self, stored: models.QuerySet, key: str, wanted: list[dict[str, Any]]
    ) -> list[Any]:
        """Return a row for each of the wanted ones; the field `key` tells them apart."""
        rows = {getattr(row, key): row for row in stored}
        new = [stored.model(**fields) for fields in wanted if fields[key] not in rows]
        different = [
            fields
            for fields in wanted
            if fields[key] in rows and differs(rows[fields[key]], fields)
        ]
        stored.model.objects.bulk_create(new)
        for fields in different:
            row = rows[fields[key]]
            for name, value in fields.items():
                setattr(row, name, value)
            row.save()
        self.added += len(new)
        self.changed += len(different)
        rows |= {getattr(row, key): row for row in new}
        return [rows[fields[key]] for fields in wanted]


def differs(row: models.Model, fields: dict[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in fields.items())


class LoadCommand(BaseCommand):
    """A command that brings a JSON file into the database."""

    file: Path
    load: Callable[[dict[str, Any], Callable[[str], object] | None], Loaded]

    def contents(self, data: dict[str, Any]) -> str:
        """Say how much there is in the file."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file", type=Path, default=self.file, help="the data file (default: %(default)s)"
        )

    def handle(self, *, file: Path, verbosity: int, **options: Any) -> None:
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        try:
            loaded = self.load(data, self.stderr.write if verbosity > 1 else None)
        except KeyError as error:
            raise CommandError(
                f"{file} has no {error}; its format is described in data/ATTRIBUTION.md."
            ) from error
        except DatabaseError as error:
            problem = str(error).strip()
            raise CommandError(f"{problem}. Has `manage.py migrate` been run?") from error
        if verbosity > 0:
            self.stdout.write(
                f"{self.contents(data)}: {loaded.added:,} rows added, {loaded.changed:,} changed."
            )
