"""Fields: another value for one, of the kind that a form might save."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from django.db import models
from django.db.models import Field, Model
from django.utils import timezone

from fragcache.arguments import MISSING

CHANGED: Final = "Changed"


def changeable(row: Model) -> list[Field[Any, Any]]:
    """Return the fields of a row that somebody may change: no key, no mtime, nothing computed."""
    return [field for field in row._meta.concrete_fields if not _is_own(field)]


def other_value(field: Field[Any, Any], row: Model) -> Any:
    """Return a value that the field of the row does not have, MISSING where there is none."""
    value = getattr(row, field.attname)
    if field.remote_field is not None:
        return _other_row(field, value)
    if field.flatchoices:
        return next((choice for choice, _label in field.flatchoices if choice != value), MISSING)
    for kind, change in _CHANGES.items():
        if isinstance(field, kind):
            return change(field, value)
    return MISSING


def _is_own(field: Any) -> bool:
    return bool(
        field.primary_key
        or getattr(field, "generated", False)
        or getattr(field, "auto_now", False)
        or (isinstance(field, models.DateTimeField) and not field.editable)
    )


def _other_row(field: Any, value: Any) -> Any:
    rows = field.related_model._base_manager
    target = field.target_field.attname
    others = rows.exclude(**{target: value}).order_by("pk").values_list(target, flat=True)
    is_free = field.many_to_one and not field.unique
    other = others.first() if is_free else None
    if other is not None:
        return other
    return None if field.null and value is not None else MISSING


def _text(field: Any, value: Any) -> str:
    changed = f"{CHANGED} {value}" if value else CHANGED
    return changed[: field.max_length]


def _number(field: Any, value: Any) -> Any:
    if value is None:
        return Decimal(1) if isinstance(field, models.DecimalField) else 1
    return value - 1 if value > 1 else value + 1


def _moment(field: Any, value: Any) -> Any:
    step = dt.timedelta(days=400, hours=5, minutes=7)
    return (timezone.now() if value is None else value) - step


def _date(field: Any, value: Any) -> dt.date:
    return dt.date(2001, 2, 3) if value is None else value - dt.timedelta(days=400)


def _time(field: Any, value: Any) -> dt.time:
    return dt.time(3, 4) if value is None else value.replace(hour=(value.hour + 7) % 24)


def _json(field: Any, value: Any) -> Any:
    """Change every leaf: which of them shows is the template's business."""
    if isinstance(value, dict) and value:
        return {name: _json(field, inner) for name, inner in value.items()}
    if isinstance(value, list) and value:
        return [_json(field, inner) for inner in value]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{CHANGED} {value}" if isinstance(value, str) else CHANGED


#: From the special to the general.
_CHANGES: Final[dict[type[Field[Any, Any]], Callable[[Any, Any], Any]]] = {
    models.BooleanField: lambda _field, value: not value,
    models.DurationField: lambda _field, value: (value or dt.timedelta()) + dt.timedelta(days=1),
    models.DateTimeField: _moment,
    models.DateField: _date,
    models.TimeField: _time,
    models.DecimalField: _number,
    models.FloatField: _number,
    models.IntegerField: _number,
    models.UUIDField: lambda _field, _value: uuid.uuid4(),
    models.GenericIPAddressField: lambda _field, value: (
        f"192.0.2.{2 if value == '192.0.2.1' else 1}"
    ),
    models.JSONField: _json,
    models.BinaryField: lambda _field, value: bytes(value or b"") + b"x",
    models.URLField: lambda _field, value: f"{value or 'https://example.org'}/changed",
    models.EmailField: lambda _field, value: f"changed.{value or 'a@example.org'}",
    models.SlugField: lambda field, value: f"changed-{value}"[: field.max_length],
    models.FileField: lambda _field, value: f"changed/{value.name or 'file'}",
    models.CharField: _text,
    models.TextField: _text,
}
