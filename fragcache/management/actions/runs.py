"""``fragments runs``: the recorded runs of ``warm_fragments``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any, Final

from django import db
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from fragcache.management.options import at_least
from fragcache.management.tables import write_table
from fragcache.models import WarmRun
from fragcache.warming.history import Locks, described, is_untouched, progress_of

_EXIT_FAILED: Final = 1


def add_options(parser: ArgumentParser) -> None:
    """Add the options of ``fragments runs``."""
    parser.add_argument(
        "--limit",
        type=at_least(1, int),
        default=20,
        metavar="N",
        help="How many; default %(default)s.",
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """List the runs, the newest first.

    Raises:
        CommandError: they cannot be read.
    """
    try:
        runs = list(WarmRun.objects.all()[: options["limit"]])
    except (db.Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        said = str(error).strip().partition("\n")[0].removesuffix(".")
        raise CommandError(
            f"The recorded runs cannot be read: {said}. If the table is missing, `manage.py "
            "migrate fragcache` makes it.",
            returncode=_EXIT_FAILED,
        ) from error
    locks = Locks()
    found = [described(one, locks) for one in runs]
    if options["json"]:
        command.stdout.write(json.dumps({"format": 1, "runs": found}, indent=2))
    elif found:
        write_table(command, [_row(one, of, locks) for one, of in zip(runs, found, strict=True)])
    else:
        command.stderr.write(
            "No runs are recorded: each run of `manage.py warm_fragments` will be.",
            style_func=str,
        )


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
