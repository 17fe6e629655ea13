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


def load(
    fragment: Fragment,
    arguments: Sequence[tuple[Any, ...]],
    *,
    fresh: bool = False,
    using: str | None = None,
) -> list[tuple[Any, ...] | None]:
    """Return the arguments with rows in place of primary keys, None for those without a row.

    One query for all of them, and one for each of ``prefetch_related``. With ``fresh`` objects are
    loaded anew as well: they may be older than their version, of another class, or hold what a
    form that was refused has put into them. One that is not among the items is found all the same.

    ``using`` is the database that they are loaded from, whatever a router says.
    """
    if fragment.is_remote:
        given = zip(arguments, fragment.are_available(arguments), strict=True)
        return [bound if is_available else None for bound, is_available in given]
    queryset = rows(fragment)
    if queryset is None or not all(arguments):
        return list(arguments)
    if using is not None:
        queryset = queryset.using(using)
    kind, primary_key = fragment.parameters.pk_type, fragment.parameters.primary_key
    # Optimisation: keys as rows have them, which warming lists, are their own canonical form.
    keys = [bound[0] if type(bound[0]) is kind else primary_key(bound[0]) for bound in arguments]
    objects = {
        key: bound[0]
        for key, bound in zip(keys, arguments, strict=True)
        if key is not bound[0] and isinstance(bound[0], Model)
    }
    found = {} if fresh else objects
    wanted = set(keys) - found.keys()
    found |= {row.pk: row for row in restricted(queryset, wanted)} if wanted else {}
    if left := objects.keys() - found.keys():
        others = queryset.model._base_manager.using(queryset.db).filter(pk__in=left)
        found |= {row.pk: row for row in others}
    loaded = [
        (found[key], *bound[1:]) if key in found else None
        for key, bound in zip(keys, arguments, strict=True)
    ]
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
