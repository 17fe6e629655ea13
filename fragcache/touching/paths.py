"""Paths of relations, such as ``"album__artist"``: where they lead, and from which rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models import Model, QuerySet

from fragcache.suggestions import did_you_mean

_MOST_KEYS: Final = 30_000
#: Parameters of a statement that are no primary keys.
_OTHERS: Final = 50


def target(model: type[Model], path: str) -> type[Model]:
    """Return the model that a path leads to.

    Raises:
        ValueError: a part of it is no relation to one model.
    """
    for name in path.split("__"):
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            names = [field.name for field in model._meta.get_fields() if field.is_relation]
            raise ValueError(
                f"{model._meta.label} has no relation {name!r}.{did_you_mean(name, names)}"
            ) from None
        related = field.related_model
        if not isinstance(related, type):
            raise ValueError(f"{model._meta.label}.{name} is no relation to one model.")
        model = related
    return model


def reached(model: type[Model], path: str, keys: Collection[Any], alias: str) -> set[Any]:
    """Return the primary keys of the rows that a path leads to from rows, given by theirs."""
    if not path:
        return set(keys)
    found: set[Any] = set()
    for some in in_batches(keys, alias):
        rows = rows_of(model, alias).filter(pk__in=some)
        found.update(rows.values_list(f"{path}__pk", flat=True).distinct())
    return found - {None}


def reached_from_objects(
    model: type[Model], path: str, objects: Sequence[Any], alias: str
) -> set[Any]:
    """Return the same for objects, which may lack a primary key; their foreign keys are enough."""
    first, _, rest = path.partition("__")
    field: Any = model._meta.get_field(first)
    if field.concrete and not field.many_to_many and field.target_field.primary_key:
        keys = {getattr(row, field.attname) for row in objects} - {None}
        return reached(field.related_model, rest, keys, alias)
    return reached(model, path, {row.pk for row in objects} - {None}, alias)


def rows_of(model: type[Model], alias: str) -> QuerySet[Any]:
    """Return all rows in any order, by a queryset that moves nothing."""
    rows: QuerySet[Any] = QuerySet(model, using=alias)
    return rows.order_by()


def in_batches(keys: Collection[Any], alias: str) -> Iterator[tuple[Any, ...]]:
    """Yield keys in order, as many at once as a statement takes."""
    most = connections[alias].features.max_query_params
    try:
        ordered = sorted(keys)
    except TypeError:  # of a kind that has no order; the database puts them in one
        ordered = list(keys)
    return _pieces(ordered, max(1, most - _OTHERS) if most else _MOST_KEYS)


def _pieces(ordered: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(ordered), size):
        yield tuple(ordered[start : start + size])
