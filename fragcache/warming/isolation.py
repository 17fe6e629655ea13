"""Isolation: a batch is read in one transaction that sees one state and can write nothing.

On PostgreSQL. SQLite would keep writers waiting as long as a batch takes, and other databases are
left as the site has set them.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.signals import setting_changed
from django.db import DatabaseError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from fragcache import conf, page
from fragcache.declarations import Fragment, is_rows
from fragcache.exceptions import ImproperlyDeclared

#: SQLSTATE read_only_sql_transaction, PostgreSQL's manual, appendix A.
_WRITES: Final = "25006"


@contextmanager
def isolated(fragment: Fragment, versions_from: Set[str] = frozenset()) -> Iterator[None]:
    """Read within from one state of the database that has a fragment's rows, where it can do so.

    It is the one that their versions were read from, if a router has several.

    Without rows a fragment may need no database at all, and none is asked.

    What is stored meanwhile, by fragments that a render shows, follows the rules of a page that
    began before the transaction: under tokens that were known by then.

    Raises:
        ImproperlyDeclared: the fragment writes to the database.
    """
    alias = _database_of(fragment, versions_from)
    if alias is None or not _is_isolable(connections[alias]):
        yield
        return
    with page.entered(page.of_request()) as current, _writes_named(fragment.name):
        current.is_visited = False
        with transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute(_opening())
            yield
        current.finish()


def _database_of(fragment: Fragment, versions_from: Set[str]) -> str | None:
    if fragment.item_model is None:
        return None
    if len(versions_from) == 1:
        return next(iter(versions_from))
    found = fragment.get_items()
    return found.db if is_rows(found) else router.db_for_read(fragment.item_model)


def _is_isolable(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql" and not connection.in_atomic_block


@contextmanager
def _writes_named(owner: str) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if _sqlstate(error) != _WRITES:
            raise
        raise ImproperlyDeclared(
            f"{owner} writes to the database while it is rendered: {str(error).strip()}. Batches "
            "of warm_fragments read only; write somewhere else, or set "
            "FRAGCACHE['READ_ONLY_BATCHES'] = False."
        ) from error


def _sqlstate(error: DatabaseError) -> str | None:
    """Return what psycopg 2 calls pgcode, and psycopg 3 sqlstate."""
    cause: Any = error.__cause__
    return getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)


def _opening() -> str:
    """Return the statements a transaction begins with, which are one round trip."""
    settings = conf.settings()
    mode = "ISOLATION LEVEL REPEATABLE READ"
    if settings.READ_ONLY_BATCHES and not _caches_are_in_databases():
        mode += ", READ ONLY"
    statements = [f"SET TRANSACTION {mode}"]
    if settings.STATEMENT_TIMEOUT:
        milliseconds = max(1, round(settings.STATEMENT_TIMEOUT * 1000))
        statements.append(f"SET LOCAL statement_timeout = {milliseconds}")
    return "; ".join(statements)


@cache
def _caches_are_in_databases() -> bool:
    """Whether reading a cache may write to a database: DatabaseCache deletes what is old."""
    return any(isinstance(caches[alias], BaseDatabaseCache) for alias in django_settings.CACHES)


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "CACHES":
        _caches_are_in_databases.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.warming.isolation")
