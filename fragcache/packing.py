"""Packing: arguments as JSON takes them, for whoever is told of an instance in writing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.apps import apps
from django.db.models import Model

from fragcache.exceptions import NotPackable

#: What JSON keeps as it is; of a subclass, such as a safe text, it would not.
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def packed_value(value: Any) -> Any:
    """Return an argument as JSON takes it, a row by its model and primary key.

    Raises:
        NotPackable: it has no such form.
    """
    if isinstance(value, Model) and value.pk is not None:
        return {"model": value._meta.label, "pk": packed_key(value.pk)}
    if type(value) not in _SCALARS or (isinstance(value, float) and not math.isfinite(value)):
        raise NotPackable(f"{value!r} has no form in JSON that is read back as the same.")
    return value


def packed_key(key: Any) -> int | str:
    """Return a primary key as JSON takes it: an integer, or the text of anything else.

    One of several columns is the text of a list, as Django serialises it: "[1, 2]".
    """
    if isinstance(key, tuple):
        return json.dumps([packed_key(part) for part in key])
    return key if type(key) is int else str(key)


def loaded(packed: Sequence[Sequence[Any]]) -> list[tuple[Any, ...] | None]:
    """Return the arguments of each instance, None where a row was deleted meanwhile.

    One query for each model.
    """
    wanted: dict[str, set[Any]] = {}
    for item in packed:
        for value in item:
            if isinstance(value, Mapping):
                wanted.setdefault(value["model"], set()).add(value["pk"])
    found = {label: _rows(label, pks) for label, pks in wanted.items()}
    return [_loaded(item, found) for item in packed]


def _loaded(item: Sequence[Any], found: Mapping[str, Mapping[str, Any]]) -> tuple[Any, ...] | None:
    rows = [found[v["model"]].get(str(v["pk"])) for v in item if isinstance(v, Mapping)]
    if None in rows:
        return None
    left = iter(rows)
    return tuple(next(left) if isinstance(v, Mapping) else v for v in item)


def _rows(label: str, pks: set[Any]) -> dict[str, Any]:
    model = apps.get_model(label)
    if len(model._meta.pk_fields) > 1:
        pks = {tuple(model._meta.pk.to_python(pk)) for pk in pks}
    return {str(packed_key(row.pk)): row for row in model._base_manager.filter(pk__in=pks)}
