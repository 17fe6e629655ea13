"""``fragments invalidate``: its options, and what is not current any more."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand

from fragcache import invalidation, registry
from fragcache.exceptions import InvalidArguments
from fragcache.management.arguments import arguments_of, check_encoding, value_of
from fragcache.management.listing import described_blocks, known_since
from fragcache.management.options import add_verbosity
from fragcache.management.selection import check_alias
from fragcache.suggestions import did_you_mean

DESCRIPTION: Final = (
    "Invalidates one instance of a fragment, or all of them; or the {% cache %} blocks of a name. "
    "Exit codes: 0; 1 or 2 wrong usage, or an unknown name; 75 the cache does not answer."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.description = DESCRIPTION
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="ARG",
        help="As in a template: 12, or variant=row; of a block, what it varies on.",
    )
    parser.add_argument(
        "--block", action="store_true", help="NAME is that of {% cache %} blocks, in any template."
    )
    parser.add_argument("--all", action="store_true", help="All of them, instead of one.")
    parser.add_argument(
        "--purge",
        action="store_true",
        help="With --all: targets show nothing instead of the former entries.",
    )
    parser.add_argument("--using", metavar="ALIAS", help="The cache alias that they are in.")
    add_verbosity(parser, "0: print nothing.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Invalidate what the options name, and say so.

    Raises:
        UnknownFragment, InvalidArguments, NoIdentity, ImproperlyDeclared: they name nothing that
            can be invalidated.
        InvalidationFailed: it could not be written.
    """
    check_alias(options["using"])
    _check_together(options)
    said = _of_block(options) if options["block"] else _of_fragment(options)
    if options["verbosity"]:
        command.stdout.write(f"Invalidated: {said}.")


def _check_together(options: dict[str, Any]) -> None:
    if options["all"] and options["arguments"]:
        raise InvalidArguments(
            f"--all is all of {options['name']!r}, and {' '.join(options['arguments'])!r} one of "
            "them: give either."
        )
    if options["purge"] and (options["block"] or not options["all"]):
        raise InvalidArguments("--purge is for all instances of a fragment: NAME --all --purge.")


def _of_fragment(options: dict[str, Any]) -> str:
    fragment, using = registry.get(options["name"]), options["using"]
    if options["all"]:
        invalidation.invalidate_all(fragment, using=using, purge=options["purge"])
        return f"all of {fragment.name}"
    args, kwargs = arguments_of(options["arguments"])
    invalidation.invalidate(fragment, *args, using=using, **kwargs)
    return f"{fragment.name} {' '.join(options['arguments'])}".rstrip()


def _of_block(options: dict[str, Any]) -> str:
    name = options["name"]
    using = _alias_of_block(name, options["using"])
    if options["all"]:
        invalidation.invalidate_all_template_fragments(name, using=using)
        return f"all blocks {name!r}"
    check_encoding(options["arguments"])
    values = [value_of(text) for text in options["arguments"]]
    invalidation.invalidate_template_fragment(name, values, using=using)
    return f"the blocks {name!r} that vary on {', '.join(map(repr, values)) or 'nothing'}"


def _alias_of_block(name: str, using: str | None) -> str | None:
    """Return the cache alias that is asked for, or else the one that all blocks of a name say.

    Raises:
        InvalidArguments: there are no such blocks.
    """
    blocks = described_blocks()
    aliases = {block["using"] for block in blocks if block["name"] == name}
    # Other engines have blocks, and so have templates that stand in no file.
    if not aliases and not known_since([(name, using)]):
        names = {str(block["name"]) for block in blocks}
        raise InvalidArguments(
            f"No template has a {{% cache %}} block {name!r}, and none was ever rendered in this "
            f"cache.{did_you_mean(name, names)} `manage.py fragments list --blocks` shows them."
        )
    return aliases.pop() if using is None and len(aliases) == 1 else using
