"""The abstract model, and what a save moves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Final

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import models, router
from django.db.models.signals import class_prepared
from django.utils.translation import gettext_lazy as _

from fragcache.touching.fields import DefaultTouchField, touch_field
from fragcache.touching.moves import Moves, gathering, locked, touches_of
from fragcache.touching.paths import rows_of, target
from fragcache.touching.querysets import TouchedManager, TouchedQuerySet

#: What databases do to rows that stay; since Django 6.1.
_CHANGING: Final = ("DB_SET_NULL", "DB_SET_DEFAULT")


class TouchedModel(models.Model):
    """A model whose mtime moves with every change through the ORM, strictly upwards.

    The mtime is the column ``mtime``, or a ``TouchField`` of the model's own.
    """

    #: Paths of relations, such as ["album", "album__artist", "tags"]: their rows move when this
    #: row is saved, changed in bulk or deleted, and with them those that they touch themselves.
    touches: ClassVar[Sequence[str]] = ()

    mtime = DefaultTouchField(_("modified at"))

    objects = TouchedManager()
    #: All rows. Related managers and cascades change them by it, whatever `objects` is.
    base_objects = TouchedManager()

    class Meta:
        abstract = True
        base_manager_name = "base_objects"

    def save_base(
        self,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Any = None,
    ) -> None:
        """Save as Django does, and move what the row touches, and touched before."""
        using = using or router.db_for_write(type(self), instance=self)
        field = touch_field(type(self))
        if update_fields is not None and field is not None:
            update_fields = frozenset(update_fields) | {field.name}
        options = (raw, force_insert, force_update, using, update_fields)
        if not touches_of(type(self)):
            super().save_base(*options)
            return
        with gathering(using) as moves:
            if self._may_be_a_row(force_insert):
                self._add_touched(moves)
            super().save_base(*options)
            moves.add_touched_by(type(self), [self])

    save_base.alters_data = True  # type: ignore[attr-defined]

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Delete as Django does, and move what the deleted rows touch, once."""
        using = using or router.db_for_write(type(self), instance=self)
        with gathering(using):
            return super().delete(using=using, keep_parents=keep_parents)

    delete.alters_data = True  # type: ignore[attr-defined]

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        """Check the paths, the managers and the deletions as well."""
        own = (*_check_touches(cls), *_check_managers(cls), *_check_deletions(cls))
        return [*super().check(**kwargs), *own]

    def _may_be_a_row(self, force_insert: Any) -> bool:
        if self.pk is None or force_insert:
            return False
        # Django inserts at once what has a primary key by default, such as a UUID.
        return not (self._state.adding and self._meta.pk.has_default())

    def _add_touched(self, moves: Moves) -> None:
        # Locked: else another transaction may change what the row touches, after it is read here.
        row = rows_of(type(self), moves.alias).filter(pk=self.pk)
        moves.add_touched(type(self), locked(row))

    def _save_table(
        self, raw: bool = False, cls: type[models.Model] | None = None, *args: Any, **kwargs: Any
    ) -> bool:
        """Save, and read the mtime that the database gave, before the receivers of post_save."""
        field = touch_field(type(self))
        before = self.__dict__.get(field.attname) if field else None
        saved: bool = super()._save_table(raw, cls, *args, **kwargs)  # type: ignore[misc]
        if field is None or raw or cls is not field.model:
            return saved
        # Django 5.2 does not ask for it; 6 forgets it where the database does not return it.
        if self.__dict__.get(field.attname, before) is before:
            using = kwargs.get("using") or args[2]
            rows = rows_of(field.model, using).filter(pk=self.pk)
            setattr(self, field.attname, rows.values_list(field.name, flat=True).get())
        return saved


def _name_base_manager(sender: type[models.Model], **_kwargs: Any) -> None:
    """Let Django cascade by ``base_objects`` too where another base comes first, or a Meta of it.

    Django asks the first base alone, and where that has none takes a manager that moves nothing.
    """
    if not issubclass(sender, TouchedModel) or "base_objects" not in sender._meta.managers_map:
        return
    if sender._meta.base_manager.name == "_base_manager":  # Django's own
        sender._meta.base_manager_name = "base_objects"
        del sender._meta.base_manager  # which is cached


class_prepared.connect(_name_base_manager, dispatch_uid="fragcache.touching")


def _check_touches(model: type[models.Model]) -> Collection[CheckMessage]:
    found = []
    for path in touches_of(model):
        try:
            label, missing = target(model, path)._meta.label, touch_field(target(model, path))
            problem = None if missing else f"{label} has no TouchField that could move."
        except ValueError as error:
            problem = str(error)
        if problem:
            found.append(
                Error(
                    f"{model._meta.label}.touches has {path!r}: {problem}",
                    hint="Name relations to models derived from fragcache.models.TouchedModel.",
                    obj=model,
                    id="fragcache.E012",
                )
            )
    return found


def _check_managers(model: type[models.Model]) -> Collection[CheckMessage]:
    return [
        CheckWarning(
            f"{model._meta.label}.{manager.name} has querysets that do not move the mtime.",
            hint="Derive them from fragcache.models.TouchedQuerySet.",
            obj=model,
            id="fragcache.W006",
        )
        for manager in model._meta.managers
        if not isinstance(manager.get_queryset(), TouchedQuerySet)
    ]


def _check_deletions(model: type[models.Model]) -> Collection[CheckMessage]:
    return [
        CheckWarning(
            f"{field} is changed by the database itself where what it points to is deleted "
            f"(on_delete={name}), which moves nothing.",
            hint=f"Use {name.removeprefix('DB_')}. If a trigger of the database moves it, which "
            'no check can see, add "fragcache.W017" to SILENCED_SYSTEM_CHECKS.',
            obj=model,
            id="fragcache.W017",
        )
        for field in model._meta.local_fields
        for name in [getattr(getattr(field.remote_field, "on_delete", None), "__name__", "")]
        if name in _CHANGING or (name == "DB_CASCADE" and touches_of(model))
    ]
