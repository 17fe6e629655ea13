"""``fragments``: what is declared, what the cache holds of it, and how it was warmed."""

from __future__ import annotations

from argparse import ArgumentParser
from types import ModuleType
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from fragcache.exceptions import CacheUnavailable, FragcacheError
from fragcache.management.actions import (
    coverage,
    explain,
    invalidate,
    runs,
    sets,
    stats,
    trigger,
    verify,
)
from fragcache.management.actions import (
    list as listing,
)

EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 75
#: What each action is for, and the module that has its options and does it.
ACTIONS: Final[dict[str, tuple[str, ModuleType]]] = {
    "list": ("Every declared fragment.", listing),
    "explain": ("Each part of an instance's keys, and why it is or is not current.", explain),
    "runs": ("The recorded runs of warm_fragments, the newest first.", runs),
    "stats": ("How the caches are, and what each fragment costs and earns.", stats),
    "verify": ("Render again, and compare with what is stored.", verify),
    "invalidate": ("Let an instance, or all, be rendered anew.", invalidate),
    "coverage": ("On a target: which contexts are there.", coverage),
    "sets": ("Atomic sets: what is shown of each; rolls one back.", sets),
    "trigger": ("Write the PostgreSQL migration that moves a model's mtime.", trigger),
}


class Command(BaseCommand):
    help = (
        "Lists the declared fragments or the blocks of templates, explains one instance, "
        "invalidates instances, fragments or blocks, lists the recorded runs of warm_fragments, "
        "says how the caches are and what each fragment costs, verifies what they hold, tells a "
        "target what it misses, lists atomic sets and rolls one back, or writes the migration "
        "that moves a model's mtime."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, (purpose, action) in ACTIONS.items():
            action.add_options(actions.add_parser(name, help=purpose))

    def handle(self, *_args: Any, **options: Any) -> None:
        _purpose, action = ACTIONS[options["action"]]
        try:
            action.run(self, options)
        except CacheUnavailable as error:
            message = f"The cache is unavailable: {error}"
            raise CommandError(message, returncode=EXIT_UNAVAILABLE) from error
        except FragcacheError as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
