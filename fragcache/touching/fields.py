"""The column of an mtime, and the expression that moves it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, F, Func, Model, Value
from django.db.models.functions import Coalesce, Greatest
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

#: The least step of an mtime, and what the columns of all databases can tell apart.
STEP: Final = dt.timedelta(microseconds=1)


class TouchField(DateTimeField):  # type: ignore[type-arg]
    """A datetime that moves with every change of its row, and never back.

    It takes the place of an ``auto_now`` field without a change of the table. The model has to be
    a ``TouchedModel``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"editable": False, "blank": True}
        kwargs.setdefault("default", timezone.now)  # of the rows that a migration finds
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Return what migrations write, without what is the same for every such field."""
        name, _path, args, kwargs = super().deconstruct()
        for given in ("editable", "blank"):
            kwargs.pop(given, None)
        if kwargs.get("default") is timezone.now:
            del kwargs["default"]
        return name, "fragcache.models.TouchField", args, kwargs

    def pre_save(self, model_instance: Model, add: bool) -> Any:
        """Return the process's time for a new row, for others what the database computes."""
        if not add:
            return next_mtime(self)
        value = timezone.now()
        setattr(model_instance, self.attname, value)
        return value

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Complain of a model that does not move it."""
        from fragcache.touching.models import TouchedModel

        found = super().check(**kwargs)
        if not issubclass(self.model, TouchedModel):
            found.append(
                Error(
                    f"{self.model._meta.label}.{self.name} is a TouchField, but its model is no "
                    "TouchedModel: save(update_fields=...), update() and the like do not move it.",
                    hint="Derive the model from fragcache.models.TouchedModel.",
                    obj=self,
                    id="fragcache.E011",
                )
            )
        return found


class DefaultTouchField(TouchField):
    """The mtime of a model that names none itself."""

    def contribute_to_class(self, cls: type[Model], name: str, *args: Any, **kwargs: Any) -> None:
        """Give way to a TouchField of the model's own."""
        if touch_field(cls) is None:
            super().contribute_to_class(cls, name, *args, **kwargs)


def touch_field(model: type[Model]) -> TouchField | None:
    """Return the field that moves with each row of a model, or None."""
    fields = (*model._meta.local_fields, *(f for p in model._meta.parents for f in p._meta.fields))
    return next((field for field in fields if isinstance(field, TouchField)), None)


def next_mtime(field: TouchField) -> Greatest:
    """Return the mtime that a row gets: the time, or the old one's next microsecond if later."""
    moment = _Clock()
    return Greatest(moment, Coalesce(F(field.name) + STEP, moment))


class _Clock(Func):
    """The time that it is, not that the transaction began at."""

    output_field = DateTimeField()

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *_args: Any, **_extra: Any
    ) -> tuple[str, Any]:
        return compiler.compile(Value(timezone.now(), DateTimeField()))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_extra: Any
    ) -> tuple[str, Any]:
        return "CLOCK_TIMESTAMP()", []
