"""Move `updated_at` on every ordinary write, of a row and of the one that shows it.

`touches = "module"` names the latter. It does not touch its own parent in turn: a course shows the
titles of its modules, not what is in them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Greatest
from django.utils import timezone

TICK = timedelta(microseconds=1)


class TouchedQuerySet(models.QuerySet):
    """Bulk writes; `bulk_update` ends in `update`."""

    def touch(self) -> int:
        """Move the mtimes of these rows, and of nothing else."""
        return super().update(updated_at=later())

    def update(self, **values: Any) -> int:
        # By primary key: after the update the filter may not match any more.
        rows = self.model._base_manager.using(self.db).filter(
            pk__in=list(self.values_list("pk", flat=True))
        )
        with touching_parents(rows):
            return super().update(**{**values, "updated_at": later()})

    update.alters_data = True

    def delete(self) -> tuple[int, dict[str, int]]:
        with touching_parents(self):
            return super().delete()

    delete.alters_data = True

    def bulk_create(
        self, objs: Iterable[models.Model], *args: Any, **kwargs: Any
    ) -> list[models.Model]:
        rows = list(objs)
        for row in rows:
            row.updated_at = moved_on(row)
        with transaction.atomic(using=self.db):
            created = super().bulk_create(rows, *args, **kwargs)
            touch_parents(self, {parent_pk(row) for row in rows})
        return created


class TouchedModel(models.Model):
    touches: str | None = None

    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TouchedQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        if update_fields is not None:
            update_fields = {*update_fields, "updated_at"}
        self.updated_at = moved_on(self)
        with transaction.atomic():
            before = stored_parents(self.stored_row())
            super().save(*args, update_fields=update_fields, **kwargs)
            touch_parents(self.stored_row(), before | {parent_pk(self)})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with touching_parents(self.stored_row()):
            return super().delete(*args, **kwargs)

    def stored_row(self) -> TouchedQuerySet:
        return type(self)._base_manager.filter(pk=self.pk)


def moved_on(row: TouchedModel) -> datetime:
    """Return now, or later: two writes never share a microsecond, though the clock be set back."""
    return max(timezone.now(), row.updated_at + TICK)


def later() -> Greatest:
    """Return the same in SQL."""
    return Greatest(timezone.now(), models.F("updated_at") + TICK)


@contextmanager
def touching_parents(rows: TouchedQuerySet) -> Iterator[None]:
    """Touch what showed the rows before the block and what shows them after it, atomically."""
    with transaction.atomic(using=rows.db):
        before = stored_parents(rows)
        yield
        touch_parents(rows, before | stored_parents(rows.all()))


def stored_parents(rows: TouchedQuerySet) -> set[Any]:
    if rows.model.touches is None:
        return set()
    return set(rows.order_by().values_list(rows.model.touches, flat=True))


def parent_pk(row: models.Model) -> Any:
    return row.touches and getattr(row, row._meta.get_field(row.touches).attname)


def touch_parents(rows: TouchedQuerySet, pks: set[Any]) -> None:
    if rows.model.touches is not None:
        parent = rows.model._meta.get_field(rows.model.touches).related_model
        parent._base_manager.using(rows.db).filter(pk__in=pks).touch()
