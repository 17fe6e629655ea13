"""What ``update()``, ``bulk_update()``, ``bulk_create()`` and ``delete()`` move."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from django.db.models import Manager, Model, Q, QuerySet

from fragcache.touching.fields import TouchField, next_mtime, touch_field
from fragcache.touching.moves import Moves, gathering, locked, move, touches_of
from fragcache.touching.paths import in_batches, rows_of

Row = TypeVar("Row", bound=Model)

#: SQLite nests a condition of several columns for each row, at most a thousand deep.
_MOST_CONDITIONS: Final = 200


class TouchedQuerySet(QuerySet[Row]):
    """A queryset that moves the mtime of what it changes, and of what that touches."""

    def update(self, **kwargs: Any) -> int:
        """Update as Django does, and move; an mtime that is given is taken as it is."""
        changed = frozenset(kwargs)
        field = touch_field(self.model)
        if field is not None and field.name not in kwargs:
            kwargs[field.name] = next_mtime(field)
        if not touches_of(self.model) or self.query.is_sliced or self.query.combinator:
            return super().update(**kwargs)
        self._for_write = True
        with gathering(self.db) as moves:
            keys = locked(self)
            moves.add_touched(self.model, keys)
            rows = super().update(**kwargs)
            if changed & _first_steps(self.model):
                moves.add_touched(self.model, keys)
        return rows

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(
        self, objs: Iterable[Row], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Update as Django does, and move; the objects get their new mtimes."""
        objs = tuple(objs)
        with self._gathering():
            rows = super().bulk_update(objs, fields, batch_size)
            self._refresh(objs)
        return rows

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(  # noqa: PLR0917 - as Django has them
        self,
        objs: Iterable[Row],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Row]:
        """Create as Django does, and move; also the rows that there were already."""
        objs = list(objs)
        options: dict[str, Any] = {
            "batch_size": batch_size,
            "ignore_conflicts": ignore_conflicts,
            "update_conflicts": update_conflicts,
            "update_fields": update_fields,
            "unique_fields": unique_fields,
        }
        if not objs or not (update_conflicts or touches_of(self.model)):
            return super().bulk_create(objs, **options)
        self._for_write = True
        with gathering(self.db) as moves:
            if update_conflicts and unique_fields:
                return self._upsert(objs, options, moves)
            field = touch_field(self.model)
            if update_conflicts and update_fields and field is not None:
                options["update_fields"] = [*update_fields, field.name]
            created = super().bulk_create(objs, **options)
            moves.add_touched_by(self.model, created)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete as Django does, and move what the rows touch, once."""
        if self.query.is_sliced or self.query.combinator:
            return super().delete()
        self._for_write = True
        with gathering(self.db):
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def _gathering(self) -> AbstractContextManager[Moves | None]:
        self._for_write = True
        return gathering(self.db) if touches_of(self.model) else nullcontext()

    def _upsert(self, objs: list[Row], options: dict[str, Any], moves: Moves) -> list[Row]:
        """Create or update; rows are told by their unique fields, as objects may lack keys."""
        conditions = list(_conditions(self.model, objs, options["unique_fields"]))
        rows = rows_of(self.model, self.db)
        if touches_of(self.model):
            for condition in conditions:
                moves.add_touched(self.model, locked(rows.filter(condition)))
        created = super().bulk_create(objs, **options)
        keys: set[Any] = set()
        for condition in conditions:
            keys.update(rows.filter(condition).values_list("pk", flat=True))
        # Not by EXCLUDED, which is this process's time, whatever the row's was.
        move(self.model, keys, self.db)
        moves.add_touched(self.model, keys)
        self._refresh(created)
        return created

    def _refresh(self, objs: Sequence[Row]) -> None:
        """Give objects the mtimes of their rows: an old one would be the name of an old entry."""
        field = touch_field(self.model)
        if field is None:
            return
        mtimes = _mtimes(self.model, field, [row.pk for row in objs], self.db)
        for row in objs:
            if row.pk in mtimes:
                setattr(row, field.attname, mtimes[row.pk])


class TouchedManager(Manager.from_queryset(TouchedQuerySet)):  # type: ignore[misc]
    """A manager that moves the mtime of what it changes."""


def _first_steps(model: type[Model]) -> set[str]:
    """Return the names, of fields and attributes, that paths of what is touched begin with."""
    names: set[str] = set()
    for path in touches_of(model):
        field: Any = model._meta.get_field(path.partition("__")[0])
        names |= {field.name, getattr(field, "attname", field.name)}
    return names


def _mtimes(
    model: type[Model], field: TouchField, keys: Sequence[Any], alias: str
) -> dict[Any, Any]:
    rows = rows_of(model, alias)
    found: dict[Any, Any] = {}
    for some in in_batches({key for key in keys if key is not None}, alias):
        found.update(rows.filter(pk__in=some).values_list("pk", field.name))
    return found


def _conditions(
    model: type[Model], objs: Sequence[Any], unique_fields: Collection[str]
) -> Iterable[Q]:
    fields: list[Any] = [
        model._meta.pk if name == "pk" else model._meta.get_field(name) for name in unique_fields
    ]
    names = [field.attname for field in fields]
    for start in range(0, len(objs), _MOST_CONDITIONS):
        some = objs[start : start + _MOST_CONDITIONS]
        if len(names) == 1:
            yield Q(**{f"{names[0]}__in": [getattr(row, names[0]) for row in some]})
        else:
            each = [Q(**{name: getattr(row, name) for name in names}) for row in some]
            yield Q(*each, _connector=Q.OR)
