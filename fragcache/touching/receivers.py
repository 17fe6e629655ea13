"""Deletions, and changes of many-to-many relations, which no method of a model or queryset sees."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import m2m_changed, pre_delete

from fragcache.touching.fields import touch_field
from fragcache.touching.moves import gathering, touches_of
from fragcache.touching.paths import rows_of

#: Before rows are parted, and after they were joined: they can be asked for whom they belong to.
_ACTIONS = ("post_add", "pre_remove", "pre_clear")


def connect() -> None:
    """Connect the models that need it; no others, as receivers make Django's deletions slower."""
    for model in apps.get_models():
        if touches_of(model):
            pre_delete.connect(_before_delete, sender=model, dispatch_uid="fragcache.touching")
        if touch_field(model):
            for field in model._meta.many_to_many:
                through = field.remote_field.through
                m2m_changed.connect(_relate, sender=through, dispatch_uid="fragcache.touching")


def _before_delete(
    sender: type[Model], instance: Model, using: str, origin: object, **_kwargs: Any
) -> None:
    with gathering(using) as moves:
        if origin is instance:  # whose foreign keys may have been changed in memory
            moves.add_touched(sender, [instance.pk])
        else:
            moves.add_touched_by(sender, [instance])


def _relate(
    sender: type[Model],
    *,
    instance: Model,
    action: str,
    reverse: bool,
    model: type[Model],
    pk_set: set[Any] | None,
    using: str,
    **_kwargs: Any,
) -> None:
    """Move the rows that the relation is a field of, and what these touch."""
    if action not in _ACTIONS or pk_set == set():  # nothing that was not there already
        return
    field = _field_of(sender, model if reverse else type(instance))
    if field is None:
        return
    if pk_set is None:
        name = field.name if reverse else field.related_query_name()
        others = rows_of(model, using).filter(**{name: instance.pk})
        pk_set = set(others.values_list("pk", flat=True))
    owners = set(pk_set) if reverse else {instance.pk}
    if field.remote_field.symmetrical:
        owners |= pk_set
    with gathering(using) as moves:
        moves.add(field.model, owners)
        moves.add_touched(field.model, owners)


def _field_of(through: type[Model], model: type[Model]) -> Any:
    found = (f for f in model._meta.many_to_many if f.remote_field.through is through)
    field = next(found, None)
    return field if field is not None and touch_field(field.model) else None
