"""Checks of what versions are read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, Model, QuerySet

from fragcache import registry
from fragcache.checks.settings import has_usable_settings
from fragcache.touching.fields import TouchField


def check_versions(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of versions that stay as they are although a row changes."""
    messages: list[CheckMessage] = []
    for fragment in registry.all_fragments() if has_usable_settings() else ():
        try:
            model = fragment.item_model
        except Exception:  # noqa: BLE001, S112 - items() is the site's own; check_fragments complains
            continue
        if model is not None and fragment.version_paths is not None:
            messages += _check_paths(fragment.name, model, fragment.version_paths)
    return messages


def _check_paths(name: str, model: Any, paths: Sequence[str]) -> Iterator[CheckMessage]:
    """Yield a warning for each mtime that stays behind, unless another column of its row does not.

    What is no time, such as a number, is the site's own way to tell states apart; so are querysets
    with an update() of their own.
    """
    rows: dict[str, dict[str, Any]] = {}
    for path in paths:
        field = _field_at(model, path)
        if field is not None and not (field.primary_key or field.is_relation):
            rows.setdefault(path.rpartition("__")[0], {})[path] = field
    for fields in rows.values():
        times = {path: f for path, f in fields.items() if isinstance(f, DateTimeField)}
        if any(isinstance(field, TouchField) for field in times.values()):
            continue
        automatic = {path: field for path, field in times.items() if _moves_at_save(field)}
        is_all = len(times) == len(fields) and not any(map(_is_moved_by_site, times.values()))
        behind = automatic or (times if is_all else {})
        for path, field in behind.items():
            yield _warning(name, path, field)


def _moves_at_save(field: Any) -> bool:
    return field.auto_now or type(field).pre_save is not DateTimeField.pre_save


def _is_moved_by_site(field: Any) -> bool:
    rows = type(field.model._default_manager.get_queryset())
    return rows.update is not QuerySet.update


def _warning(name: str, path: str, field: Any) -> CheckMessage:
    label = field.model._meta.label
    if _moves_at_save(field):
        mover = "auto_now" if field.auto_now else f"a {type(field).__name__}"
        moves = (
            f"{mover} moves at save() alone: not at save(update_fields=...), update(), "
            "bulk_update(), nor with related rows"
        )
    elif field.auto_now_add:
        moves = "never moves once a row is made"
    else:
        moves = "nothing moves but code of the site's own, where it remembers to"
    return CheckWarning(
        f"{name}: its version {path} is {label}.{field.name}, which {moves}.",
        hint=f"Derive {label} from fragcache.models.TouchedModel and make {field.name} a "
        "TouchField. If a trigger of the database moves it, which no check can see, add "
        '"fragcache.W005" to SILENCED_SYSTEM_CHECKS.',
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
