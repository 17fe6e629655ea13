"""Checks of what versions are read from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from fragcache import registry
from fragcache.checks.settings import has_usable_settings


def check_versions(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of versions that stay as they are although a row changes."""
    messages: list[CheckMessage] = []
    for fragment in registry.all_fragments() if has_usable_settings() else ():
        try:
            model = fragment.item_model
        except Exception:  # noqa: BLE001, S112 - items() is the site's own; check_fragments complains
            continue
        for path in fragment.version_paths or () if model is not None else ():
            messages += _check_path(fragment.name, model, path)
    return messages


def _check_path(name: str, model: Any, path: str) -> Iterator[CheckMessage]:
    field = _field_at(model, path)
    if field is None or not getattr(field, "auto_now", False):
        return
    label = field.model._meta.label
    yield CheckWarning(
        f"{name}: its version {path} is {label}.{field.name}, which auto_now moves at save() "
        "alone: not at save(update_fields=...), update(), bulk_update(), nor with related rows.",
        hint=f"Derive {label} from fragcache.models.TouchedModel and make {field.name} a "
        "TouchField. If a trigger of the database moves it, silence this check.",
        id="fragcache.W005",
    )


def _field_at(model: type[Model] | None, path: str) -> Any:
    """Return the field that a path ends at, or None; check_fragments complains of a wrong one."""
    field: Any = None
    for part in path.split("__"):
        if model is None:
            return None
        try:
            field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        except FieldDoesNotExist:
            return None
        model = field.related_model
    return field
