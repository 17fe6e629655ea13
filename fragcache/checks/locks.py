"""Checks of ``FRAGCACHE["LOCK"]``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from fragcache.suggestions import did_you_mean
from fragcache.warming.locks.database import database_alias, unsupported
from fragcache.warming.locks.file import UNSUPPORTED, is_supported

_KINDS: Final = ("cache", "database", "file")


def wrong_lock(value: object) -> Iterator[CheckMessage]:
    """Say what is wrong with a value; nothing connects to a database or writes a file."""
    kind, has_path, path = str(value).partition(":")
    if not isinstance(value, str) or kind not in _KINDS or (has_path and kind != "file"):
        yield _error(
            f"is {value!r}, which is no kind of lock.{did_you_mean(kind, _KINDS)}",
            "Use 'cache', 'database', 'file', or 'file:' with an absolute path.",
        )
    elif kind == "database":
        yield from _wrong_database()
    elif kind == "file" and not is_supported():
        yield _error(f"is {value!r}. {UNSUPPORTED}", "Use 'cache' or 'database'.")
    elif has_path and not Path(path).is_absolute():
        yield _error(
            f"is {value!r}, which has no absolute path.",
            "Write it from the root, such as 'file:/run/site/warm.lock'.",
        )


def _wrong_database() -> Iterator[CheckMessage]:
    hint = "Use 'cache', or 'file' where all runs are on one machine."
    try:
        problem = unsupported(connections[database_alias()])
    except (ConnectionDoesNotExist, ImproperlyConfigured) as error:
        problem = str(error)
    if problem:
        yield _error(f"is 'database'. {problem}", hint)


def _error(said: str, hint: str) -> CheckMessage:
    return Error(f"FRAGCACHE['LOCK'] {said}", hint=hint, id="fragcache.E004")
