"""The rows that move along with others, gathered until the end of a block, and moved in order.

One statement for each model, models by their labels and rows by their primary keys: two
transactions that move the same rows wait for each other, and neither for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Model, QuerySet

from fragcache.touching.fields import next_mtime, touch_field
from fragcache.touching.paths import in_batches, reached, reached_from_objects, rows_of, target


class Moves:
    """What is to be moved in one database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._rows: defaultdict[type[Model], set[Any]] = defaultdict(set)

    def add(self, model: type[Model], keys: Collection[Any]) -> None:
        """Let rows move, and those that they touch at the end of the block."""
        self._rows[model].update(keys)

    def add_touched(self, model: type[Model], keys: Collection[Any]) -> None:
        """Let those move that rows touch by now: a change or a deletion may part them."""
        for path in touches_of(model):
            self.add(target(model, path), reached(model, path, keys, self.alias))

    def add_touched_by(self, model: type[Model], objects: Sequence[Any]) -> None:
        """Let those move that objects touch, as far as they were saved or have foreign keys."""
        for path in touches_of(model):
            self.add(target(model, path), reached_from_objects(model, path, objects, self.alias))

    def execute(self) -> None:
        """Move all of them."""
        rows = self._with_touched()
        for model in sorted(rows, key=lambda model: model._meta.label_lower):
            move(model, rows[model], self.alias)

    def _with_touched(self) -> dict[type[Model], set[Any]]:
        """Return the rows, those that they touch, those that these touch, and so on."""
        found: defaultdict[type[Model], set[Any]] = defaultdict(set)
        pending = {model: set(keys) for model, keys in self._rows.items()}
        while pending:
            model, keys = pending.popitem()
            new = keys - found[model]
            if not new:
                continue
            found[model] |= new
            for path in touches_of(model):
                further = reached(model, path, new, self.alias)
                pending.setdefault(target(model, path), set()).update(further)
        return found


@contextmanager
def gathered_touches(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Open a transaction, at the end of which the rows move that its changes touch.

    Several changes in one transaction may touch rows that another transaction touches in another
    order; gathered, neither waits for ever. Inside of another such block, the outer one moves them.
    """
    with transaction.atomic(using=using), gathering(using):
        yield


@contextmanager
def gathering(using: str) -> Iterator[Moves]:
    """Gather what one change moves, in a transaction but without a savepoint of its own."""
    gathered = _gathered.get()
    if using in gathered:
        yield gathered[using]
        return
    moves = Moves(using)
    reset = _gathered.set({**gathered, using: moves})
    try:
        with transaction.atomic(using=using, savepoint=False):
            yield moves
            moves.execute()
    finally:
        _gathered.reset(reset)


_gathered: ContextVar[Mapping[str, Moves]] = ContextVar("fragcache_touches", default={})  # noqa: B039


def touches_of(model: type[Model]) -> Sequence[str]:
    """Return the paths of the rows that move along with those of a model."""
    # Another model may mean something else by the name.
    return getattr(model, "touches", ()) if touch_field(model) else ()


def locked(rows: QuerySet[Any]) -> list[Any]:
    """Return the primary keys of rows, which nobody else changes until the transaction ends."""
    model, alias = rows.model, rows.db
    chosen = rows_of(model, alias).filter(pk__in=rows.order_by().values("pk"))
    return list(_in_order(chosen, alias).values_list("pk", flat=True))


def move(model: type[Model], keys: Collection[Any], alias: str) -> None:
    """Move the mtime of rows, and of none that they touch."""
    field = touch_field(model)
    if field is None or not keys:
        return
    # Of an inherited column, its own table: the primary keys are the same.
    for some in in_batches(keys, alias):
        rows = rows_of(field.model, alias).filter(pk__in=some)
        if _has_locks(alias):  # which are taken in the order of the inner rows
            ordered = _in_order(rows, alias)
            rows = rows_of(field.model, alias).filter(pk__in=ordered.values("pk"))
        rows.update(**{field.name: next_mtime(field)})


def _in_order(rows: QuerySet[Any], alias: str) -> QuerySet[Any]:
    rows = rows.order_by("pk")
    if not _has_locks(alias):
        return rows
    # A foreign key that points here needs no more than that the primary key stays.
    has_weak = connections[alias].features.has_select_for_no_key_update
    return rows.select_for_update(no_key=has_weak)


def _has_locks(alias: str) -> bool:
    return connections[alias].vendor == "postgresql"
