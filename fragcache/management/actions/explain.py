"""``fragments explain``: each part of an instance's keys, and why it is or is not current."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from fragcache.explaining import explain
from fragcache.management.arguments import arguments_of
from fragcache.reading.resolving import resolve, unpublished
from fragcache.store import store


def add_options(parser: ArgumentParser) -> None:
    """Add the options of ``fragments explain``."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "arguments", nargs="*", metavar="ARG", help="As in a template: 12, or variant=row."
    )
    parser.add_argument("--using", metavar="ALIAS")
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Explain one instance.

    Raises:
        UnknownFragment, InvalidArguments, NoIdentity: the options name no instance.
        CacheUnavailable: the cache does not answer.
    """
    fragment = resolve(options["name"], options["using"])
    if fragment is None:
        raise unpublished(options["name"])
    cache = store(options["using"] or fragment.using)
    args, kwargs = arguments_of(options["arguments"])
    rows = explain(fragment, cache, *args, **kwargs).rows
    if options["json"]:
        command.stdout.write(json.dumps(dict(rows), indent=2))
        return
    width = max(len(label) for label, _text in rows)
    for label, text in rows:
        command.stdout.write(f"{label:<{width}}  {text}")
