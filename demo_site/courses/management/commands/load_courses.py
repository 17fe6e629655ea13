"""Load the courses that come with the demo. Running it again changes nothing."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError

from courses.loading import load

COURSES = Path(__file__).resolve().parents[3] / "data" / "carpentries.json"


class Command(BaseCommand):
    help = "Load the courses of The Carpentries; edited ones get their original text back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file", type=Path, default=COURSES, help="the data file (default: %(default)s)"
        )

    def handle(self, *, file: Path, verbosity: int, **options: Any) -> None:
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        try:
            loaded = load(data, self.stderr.write if verbosity > 1 else None)
        except KeyError as error:
            raise CommandError(
                f"{file} has no {error}; its format is described in data/ATTRIBUTION.md."
            ) from error
        except DatabaseError as error:
            problem = str(error).strip()
            raise CommandError(f"{problem}. Has `manage.py migrate` been run?") from error
        if verbosity > 0:
            modules = [module for course in data["courses"] for module in course["modules"]]
            contents = sum(len(module["contents"]) for module in modules)
            self.stdout.write(
                f"{len(data['courses'])} courses, {len(modules)} modules, {contents:,} contents: "
                f"{loaded.added:,} rows added, {loaded.changed:,} changed."
            )
