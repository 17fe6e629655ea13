"""Changing rows: which fields show in an output without moving its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import DateTimeField, Field, Model

from fragcache.arguments import MISSING
from fragcache.testing.fields import changeable, other_value
from fragcache.testing.subject import Subject, loaded_rows

#: How many rows of a model are changed, but for those that are arguments.
ROWS: Final = 3
#: Over how many foreign keys a path to a row is looked for.
DEPTH: Final = 3
#: What processes keep copies of, and what is no content.
LEFT_OUT: Final = frozenset({"contenttypes", "sessions", "sites", "fragcache", "admin"})


class Change(NamedTuple):
    """A change of one field that shows, while the key stays the same."""

    about: str
    text: str
    output: str
    remedy: str


def changes_of_rows(subject: Subject, usual: str) -> Iterator[Change]:
    """Change one field at a time of the rows that a render loads; yield what a key does not tell.

    Nothing is changed for a fragment without a version, which may be older than its data.
    """
    if not subject.fragment.is_versioned:
        return
    seen: set[tuple[type[Model], str]] = set()
    for row in _rows(subject):
        for field in changeable(row):
            if (row._meta.model, field.name) in seen:
                continue
            output = _output_of_change(subject, usual, row, field)
            if output is not None:
                seen.add((row._meta.model, field.name))
                yield _change(subject, row, field, output)


def _rows(subject: Subject) -> Sequence[Model]:
    """Return the rows of the arguments, then some of each model that a render loads."""
    own = subject.rows()
    with loaded_rows() as loaded:
        subject.output()
    chosen = {(type(row), row.pk): row for row in own}
    others: dict[type[Model], dict[Any, Model]] = {}
    for row in loaded:
        is_stored = row.pk is not None and not row._state.adding
        if is_stored and row._meta.app_label not in LEFT_OUT and (type(row), row.pk) not in chosen:
            others.setdefault(type(row), {})[row.pk] = row
    for by_key in others.values():
        found = list(by_key.values())
        some = found if len(found) <= ROWS else [found[0], found[len(found) // 2], found[-1]]
        chosen |= {(type(row), row.pk): row for row in some}
    return list(chosen.values())


def _output_of_change(
    subject: Subject, usual: str, row: Model, field: Field[Any, Any]
) -> str | None:
    """Return what a changed field shows; None where it shows not, moves the key, or cannot be."""
    alias = row._state.db
    changed = type(row)._base_manager.using(alias).get(pk=row.pk)
    value = other_value(field, changed)
    if value is MISSING:
        return None
    former = subject.key()
    setattr(changed, field.attname, value)
    try:
        with transaction.atomic(using=alias):
            changed.save(using=alias)
            output, key = subject.output(), subject.key()
            transaction.set_rollback(True, using=alias)
    except Exception:  # noqa: BLE001 - a value that the site's own rules refuse is none it can have
        return None
    return output if output != usual and key == former else None


def _change(subject: Subject, row: Model, field: Field[Any, Any], output: str) -> Change:
    name = f"{row._meta.label}.{field.name}"
    about = f"{name} changes the output when it is saved, and the key stays the same."
    return Change(about, f"another {name}", output, _remedy(subject, row, field))


def _remedy(subject: Subject, row: Model, field: Field[Any, Any]) -> str:
    paths = subject.fragment.version_paths
    own = subject.rows()
    path = _path(own[0], row, DEPTH) if own else None
    if paths is None or path is None:
        return (
            f"Let the version cover {row._meta.label}: a function as version, with "
            f"collection_version() for many rows; or let {row._meta.label} touch what shows it "
            "(touches)."
        )
    column = _mtime(row)
    if not path and column in {None, *paths}:
        return (
            f"save() did not move version={list(paths)!r}: make it a TouchField, or add "
            f"{field.name!r} to it."
        )
    added = "__".join([*path, column or field.name])
    return f"Declare version={[*paths, added]!r}" + (
        f", or let {row._meta.label} touch it (touches)." if path else "."
    )


def _mtime(row: Model) -> str | None:
    """Return the column that moves when a row is saved."""
    for field in row._meta.concrete_fields:
        if isinstance(field, DateTimeField) and (field.auto_now or _is_touched(field)):
            return field.name
    return None


def _is_touched(field: DateTimeField[Any, Any]) -> bool:
    from fragcache.touching.fields import TouchField

    return isinstance(field, TouchField)


def _path(start: Model, row: Model, depth: int) -> list[str] | None:
    """Return the foreign keys that lead from one row to another, None where none do."""
    if type(start) is type(row) and start.pk == row.pk:
        return []
    for field in start._meta.concrete_fields if depth else ():
        if field.remote_field is None or (near := getattr(start, field.name, None)) is None:
            continue
        further = _path(near, row, depth - 1)
        if further is not None:
            return [field.name, *further]
    return None
