"""The version of a collection: of which rows, in which state, and in which order it consists.

Never the latest mtime: a transaction that stamps early and commits late leaves it as it was, and a
row that leaves takes nothing with it. Never an XOR: a join's duplicates cancel each other out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.core.exceptions import EmptyResultSet, FieldDoesNotExist
from django.db import connections
from django.db.models import DateTimeField, F, Field, Manager, QuerySet
from django.db.models.expressions import OrderBy
from django.db.models.functions import Random
from django.db.models.sql import Query

from fragcache.exceptions import ImproperlyDeclared
from fragcache.keys import microseconds
from fragcache.suggestions import did_you_mean
from fragcache.touching.fields import touch_field

_MODULUS: Final = 2**64


def collection_version(queryset: QuerySet[Any] | Manager[Any], *, field: str | None = None) -> str:
    """Return the version of what a queryset selects: "12-00c5a1f09b3e7d42".

    It is the count, and 64 bits of a hash of all primary keys and mtimes; in their order where
    that depends on more than the columns of the table. PostgreSQL and SQLite compute it in one
    query, other databases send the pairs. Use it in a fragment's ``version``.

    ``field`` is the column that moves with every change of a row; by default the TouchField.

    Raises:
        ImproperlyDeclared: the queryset has no definite rows or order, or they have no version; or
            it is none.
    """
    if isinstance(queryset, Manager):
        queryset = queryset.all()
    if not isinstance(queryset, QuerySet):
        raise ImproperlyDeclared(
            f"collection_version() takes a queryset, whose rows the database tells, not "
            f"{type(queryset).__name__}: {queryset!r:.100}."
        )
    column = _column(queryset, field)
    _refuse_what_has_no_version(queryset, column)
    # Of one database: a router may draw lots, each time it is asked.
    rows = queryset.using(queryset.db).select_related(None).prefetch_related(None)
    has_positions = _has_foreign_order(rows)
    if not (has_positions or rows.query.is_sliced or rows.query.distinct_fields):
        rows = rows.order_by()
    pairs = rows.values_list("pk", column.name)
    vendor = connections[rows.db].vendor
    if vendor == "postgresql":
        count, total = _computed_by_postgresql(pairs, column, has_positions)
    # A distinct query that is ordered has columns more, for which there is no name.
    elif vendor == "sqlite" and not (rows.query.distinct and rows.ordered):
        count, total = _computed_by_sqlite(pairs, has_positions)
    else:
        count, total = _computed_here(pairs, has_positions)
    return f"{count}-{total % _MODULUS:016x}"


acollection_version = sync_to_async(collection_version)


def _column(queryset: QuerySet[Any], name: str | None) -> Field[Any, Any]:
    model = queryset.model
    try:
        column = touch_field(model) if name is None else model._meta.get_field(name)
    except FieldDoesNotExist:
        names = [column.name for column in model._meta.concrete_fields]
        raise ImproperlyDeclared(
            f"collection_version(field={name!r}): {model._meta.label} has no such field."
            f"{did_you_mean(str(name), names)}"
        ) from None
    if isinstance(column, Field) and column.concrete:
        return column
    raise ImproperlyDeclared(
        f"collection_version() does not know which column of {model._meta.label} moves with every "
        "change: derive it from fragcache.models.TouchedModel, or name one, such as "
        "field='updated_at'."
    )


def _refuse_what_has_no_version(queryset: QuerySet[Any], column: Field[Any, Any]) -> None:
    query = queryset.query
    if query.combinator:
        problem = f"{query.combinator}() of querysets: give each its own version"
    elif queryset._fields is not None:  # type: ignore[attr-defined]
        problem = "values() or values_list(): give the queryset of the rows"
    elif any(_is_random(term, query) for term in _ordering(queryset)):
        problem = "a random order, such as order_by('?'): it is another one each time"
    elif query.is_sliced and not queryset.ordered:
        problem = "a slice without an order: which rows it has is up to the database. Use order_by"
    elif len(getattr(column.model._meta, "pk_fields", [0])) > 1:
        problem = "a model with a composite primary key: give a function that computes it"
    else:
        return
    raise ImproperlyDeclared(f"collection_version() cannot tell the version of {problem}.")


def _has_foreign_order(queryset: QuerySet[Any]) -> bool:
    """Whether rows may come in another order although none of them has changed."""
    query = queryset.query
    own = {"pk", *(f.attname for f in query.get_meta().concrete_fields)}
    # Of a row in several tables, and of an annotation that hides a column, the name says nothing.
    own -= set(query.annotation_select) | set(query.extra)
    return not all(_ordered_by(term) in own for term in _ordering(queryset))


def _ordering(queryset: QuerySet[Any]) -> Sequence[Any]:
    query = queryset.query
    if not queryset.ordered:
        return ()
    ordering: Any = query.extra_order_by or query.order_by or query.get_meta().ordering
    return tuple(ordering)


def _is_random(term: Any, query: Query) -> bool:
    name = _ordered_by(term)
    expression = query.annotations.get(name or "", term)
    parts = expression.flatten() if hasattr(expression, "flatten") else ()
    return name == "?" or any(isinstance(part, Random) for part in parts)


def _ordered_by(term: Any) -> str | None:
    if isinstance(term, OrderBy):
        term = term.expression
    term = getattr(term, "name", term) if isinstance(term, F) else term
    return term.removeprefix("-") if isinstance(term, str) else None


def _computed_by_postgresql(
    pairs: QuerySet[Any], column: Field[Any, Any], has_positions: bool
) -> tuple[int, int]:
    """Return the sum of one hash for each row; with positions the hash of all of them in order."""
    connection = connections[pairs.db]
    is_integer = str(pairs.model._meta.pk.rel_db_type(connection)).endswith(("int", "integer"))
    # Of an integer the function takes 32 bits, the XOR of its halves; of a double all 64.
    of_pk = "hashint8extended(pk, pk::bigint >> 32)" if is_integer else _hash_of_text("pk", "0")
    if isinstance(column, DateTimeField):
        of_row = f"hashfloat8extended(date_part('epoch', version), {of_pk})"
    else:
        of_row = _hash_of_text("version", of_pk)
    of_row = f"coalesce({of_row}, {of_pk})"
    total = f"hash_array_extended(array_agg({of_row}), 0)" if has_positions else f"sum({of_row})"
    row = _row(pairs, f"SELECT count(*), {total} FROM (%s) AS pairs (pk, version)")  # noqa: S608
    return row[0], int(row[1] or 0)


def _hash_of_text(name: str, seed: str) -> str:
    return f"hashtextextended({name}::text, {seed})"


def _computed_by_sqlite(pairs: QuerySet[Any], has_positions: bool) -> tuple[int, int]:
    """Return the hash of all rows in one text, which it makes of a subquery in its order."""
    order = "" if has_positions else " ORDER BY 1"
    lines = f"SELECT quote(pk) || '=' || quote(version) AS line FROM pairs{order}"  # noqa: S608
    around = f"SELECT count(*), group_concat(line) FROM ({lines})"  # noqa: S608
    count, text = _row(pairs, f"WITH pairs (pk, version) AS (%s) {around}")
    return count, _hash(text) if count else 0


def _row(pairs: QuerySet[Any], sql: str) -> Any:
    """Return the row of a query around that of the pairs."""
    try:
        inner, params = pairs.query.get_compiler(using=pairs.db).as_sql()
    except EmptyResultSet:
        return 0, None
    with connections[pairs.db].cursor() as cursor:
        cursor.execute(sql.replace("%s", inner, 1), params)
        return cursor.fetchone()


def _computed_here(pairs: Iterable[tuple[Any, Any]], has_positions: bool) -> tuple[int, int]:
    """Return the hash of all rows in one text, of their order or in one of its own."""
    lines = [
        f"{pk!r}={microseconds(version) if isinstance(version, dt.datetime) else version!r}"
        for pk, version in pairs
    ]
    if not has_positions:
        lines.sort()
    return len(lines), _hash(",".join(lines)) if lines else 0


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
