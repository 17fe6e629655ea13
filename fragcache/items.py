"""Items: what a fragment is rendered for, as rows of the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Model, QuerySet, prefetch_related_objects

from fragcache.declarations import Fragment, is_rows


def rows(fragment: Fragment) -> QuerySet[Any] | None:
    """Return the rows that a primary key may name, or None without a model.

    ``items`` decides, so that a course that is not published has no fragment.
    """
    items = fragment.get_items()
    if is_rows(items):
        return items
    model = fragment.item_model
    return None if model is None else model._default_manager.all()


def load(fragment: Fragment, arguments: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...] | None]:
    """Return the arguments with rows in place of primary keys, None for those without a row.

    One query for all of them, and one for each of ``prefetch_related``.
    """
    queryset = rows(fragment)
    if queryset is None:
        return list(arguments)
    wanted = {
        fragment.parameters.canonical(bound)[0]
        for bound in arguments
        if bound and not isinstance(bound[0], Model)
    }
    found = {row.pk: row for row in restricted(queryset, wanted)} if wanted else {}
    loaded: list[tuple[Any, ...] | None] = []
    for bound in arguments:
        row = bound[0]
        if not isinstance(row, Model):
            row = found.get(fragment.parameters.canonical(bound)[0])
        loaded.append(None if row is None else (row, *bound[1:]))
    if fragment.prefetch_related:
        prefetched = {id(bound[0]): bound[0] for bound in loaded if bound is not None}
        prefetch_related_objects(list(prefetched.values()), *fragment.prefetch_related)
    return loaded


def restricted(queryset: QuerySet[Any], pks: Iterable[Any]) -> QuerySet[Any]:
    """Return the rows of ``queryset`` with these keys; those of a slice or union are read first."""
    if is_fixed(queryset):
        pks = set(queryset.values_list("pk", flat=True)).intersection(pks)
    return restrictable(queryset).filter(pk__in=list(pks))


def is_fixed(queryset: QuerySet[Any]) -> bool:
    """Whether it is a slice or union, which SQL can neither filter nor order further."""
    return bool(queryset.query.is_sliced or queryset.query.combinator)


def restrictable(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Return ``queryset``, or in place of a slice or union more rows, which can be filtered."""
    if queryset.query.combinator:
        rows: QuerySet[Any] = queryset.model._default_manager.using(queryset.db)
        return rows
    unlimited = queryset.all()
    unlimited.query.clear_limits()
    return unlimited
