"""Items: what a fragment is rendered for, as rows of the database."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from django.db.models import Model, QuerySet, prefetch_related_objects
from django.utils.safestring import SafeString

from fragcache.arguments import Instance
from fragcache.declarations import Fragment, is_rows

#: What a key holds as a whole, so that it is never older than its key.
_PLAIN: Final = frozenset(
    {type(None), bool, int, float, str, SafeString, bytes, Decimal, uuid.UUID}
    | {dt.datetime, dt.date, dt.time, dt.timedelta}
)


def rows(fragment: Fragment) -> QuerySet[Any] | None:
    """Return the rows that a primary key may name, or None without a model.

    ``items`` decides, so that a course that is not published has no fragment.
    """
    model = fragment.item_model
    if model is None:  # so that a list is not made for each render
        return None
    items = fragment.get_items()
    return items if is_rows(items) else model._default_manager.all()


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


def carry_data(fragment: Fragment, instances: Iterable[Instance]) -> bool:
    """Whether some of them hold more than their keys say, and are not loaded anew by ``load``."""
    kinds = {type(value) for arguments, _encoded in instances for value in arguments}
    if kinds <= _PLAIN:  # optimisation: those of querysets
        return False
    is_loaded = fragment.item_model is not None
    return any(
        not (type(value) in _PLAIN or isinstance(value, Enum))
        for arguments, _encoded in instances
        for value in (arguments[1:] if is_loaded else arguments)
    )


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
