"""``fragments list``: what is declared, and the blocks that templates have."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from fragcache import registry
from fragcache.management.listing import described_blocks, described_fragment
from fragcache.management.tables import write_table


def add_options(parser: ArgumentParser) -> None:
    """Add the options of ``fragments list``."""
    parser.add_argument(
        "--blocks", action="store_true", help="Every {%% cache %%} block of Django's templates."
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """List what the options name."""
    if options["blocks"]:
        _list_blocks(command, options)
        return
    rows = [described_fragment(fragment) for fragment in registry.all_fragments()]
    if options["json"]:
        told = [row | {"warmed": row["warmed"] and row["warmed"].as_document()} for row in rows]
        document = {"format": 1, "fragments": told}
        command.stdout.write(json.dumps(document, indent=2, default=str))
    elif rows:
        write_table(command, rows)
    else:
        command.stderr.write(
            "No fragments are declared: add a fragments.py with @fragment to an installed app.",
            style_func=str,
        )


def _list_blocks(command: BaseCommand, options: dict[str, Any]) -> None:
    rows = described_blocks()
    if options["json"]:
        command.stdout.write(json.dumps({"format": 1, "blocks": rows}, indent=2))
    elif rows:
        write_table(command, [{key: row[key] for key in row if key != "using"} for row in rows])
    else:
        command.stderr.write("No template has a {% cache %} block of fragcache.", style_func=str)
