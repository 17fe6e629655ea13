"""What PostgreSQL does for what the ORM does not see: raw SQL, ``loaddata``, other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db.backends.utils import truncate_name
from django.db.models import DateTimeField, Model

from fragcache.touching.fields import touch_field
from fragcache.touching.moves import touches_of

_LONGEST_NAME: Final = 63
_STEP: Final = "interval '1 microsecond'"
#: A trigger for a statement runs where that changed no rows too.
_NOTHING_CHANGED: Final = "IF NOT EXISTS (SELECT FROM new_rows) THEN RETURN NULL; END IF;"
_WRITER: Final = "fragcache_writer"
#: Which rows a statement touches: what it parted, what it joined, or both.
_CHANGED: Final = {
    "INSERT": ("new_rows",),
    "UPDATE": ("old_rows", "new_rows"),
    "DELETE": ("old_rows",),
}


def mtime_field(model: type[Model]) -> DateTimeField[Any, Any]:
    """Return the field that a trigger moves: the TouchField, or the one with ``auto_now``.

    Raises:
        ValueError: there is none, it belongs to another table, or there are several.
    """
    own = touch_field(model)
    automatic = [f for f in model._meta.concrete_fields if getattr(f, "auto_now", False)]
    found: list[Any] = automatic if own is None else [own]
    label = model._meta.label
    if len(found) != 1 or not isinstance(found[0], DateTimeField):
        raise ValueError(
            f"{label} has {len(found)} fields that could move: derive it from "
            "fragcache.models.TouchedModel, or give it one DateTimeField with auto_now."
        )
    if found[0].model is not model:
        owner = found[0].model._meta.label
        raise ValueError(f"The mtime of {label} is {owner}'s: write the trigger of {owner}.")
    return found[0]


def statements(model: type[Model]) -> tuple[list[str], list[str]]:
    """Return the SQL that makes the triggers of a model, and that which removes them."""
    table, column = _quoted(model._meta.db_table), _quoted(mtime_field(model).column)
    name = _name("fragcache_moves_", model)
    move = f"NEW.{column} := GREATEST(clock_timestamp(), OLD.{column} + {_STEP});"
    forward = [
        _function(name, f"{move}\n    RETURN NEW;"),
        f"DROP TRIGGER IF EXISTS {name} ON {table};",
        (
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table}\n"
            f"    FOR EACH ROW EXECUTE FUNCTION {name}();"
        ),
    ]
    backward = [f"DROP TRIGGER IF EXISTS {name} ON {table};", f"DROP FUNCTION IF EXISTS {name}();"]
    for event in _CHANGED:
        touching = _name(f"fragcache_touches_{event.lower()}_", model)
        gone = [
            f"DROP TRIGGER IF EXISTS {touching} ON {table};",
            f"DROP FUNCTION IF EXISTS {touching}();",
        ]
        backward += gone
        # Of an earlier migration: it may follow a column that is not there any more.
        forward += _touching(model, event) if foreign_keys(model) else gone
    return forward, backward


def foreign_keys(model: type[Model]) -> list[Any]:
    """Return the foreign keys among what the model touches, in the order in which rows move."""
    fields: list[Any] = [model._meta.get_field(p) for p in touches_of(model) if "__" not in p]
    own = [f for f in fields if f.concrete and f.model is model]  # no column of a parent's table
    found = [f for f in own if not f.many_to_many and f.target_field.primary_key]
    return sorted(found, key=lambda field: field.related_model._meta.label_lower)


def left_to_the_orm(model: type[Model]) -> Sequence[str]:
    """Return the paths that no trigger follows: those over several tables."""
    followed = {field.name for field in foreign_keys(model)}
    return [path for path in touches_of(model) if path not in followed]


def _touching(model: type[Model], event: str) -> Iterator[str]:
    """Yield a trigger that runs once for a statement, so that its rows are locked in one order."""
    table = _quoted(model._meta.db_table)
    name = _name(f"fragcache_touches_{event.lower()}_", model)
    changed = _CHANGED[event]
    is_round = event == "UPDATE" and _leads_back(model)
    updates = [_update(field, changed, is_round=is_round) for field in foreign_keys(model)]
    tables = " ".join(f"{rows[:3].upper()} TABLE AS {rows}" for rows in changed)
    start = [_NOTHING_CHANGED, _writer(model)] if is_round else []
    variables = f"DECLARE {_WRITER} xid;\n" if is_round else ""
    yield _function(name, "\n    ".join([*start, *updates, "RETURN NULL;"]), variables)
    yield f"DROP TRIGGER IF EXISTS {name} ON {table};"
    yield (
        f"CREATE TRIGGER {name} AFTER {event} ON {table}\n"
        f"    REFERENCING {tables}\n"
        f"    FOR EACH STATEMENT EXECUTE FUNCTION {name}();"
    )


def _leads_back(model: type[Model]) -> bool:
    """Whether triggers that follow what a model touches may come back to it."""
    reached: set[Any] = set()
    pending: list[Any] = [model]
    while pending:
        touched = {touch_field(f.related_model) for f in foreign_keys(pending.pop())}
        new = {field.model for field in touched if field is not None} - reached
        reached |= new
        pending += new
    return model in reached


def _writer(model: type[Model]) -> str:
    """Return what asks who wrote the changed rows: a transaction, or a savepoint within it."""
    table, key = _quoted(model._meta.db_table), _quoted(model._meta.pk.column)
    changed = f"SELECT {key} FROM new_rows LIMIT 1"  # noqa: S608
    return f"{_WRITER} := (SELECT xmin FROM {table} WHERE {key} = ({changed}));"  # noqa: S608


def _update(field: Any, changed: Sequence[str], *, is_round: bool) -> str:
    related = field.related_model
    moved = touch_field(related)
    if moved is None:
        raise ValueError(f"{related._meta.label} has no TouchField that could move.")
    table, column = _quoted(moved.model._meta.db_table), _quoted(moved.column)
    key = _quoted(moved.model._meta.pk.column)
    # Names that the models have, and quoted.
    keys = " UNION ".join(f"SELECT {_quoted(field.column)} FROM {rows}" for rows in changed)  # noqa: S608
    # What this statement has moved already: it would go on in a circle.
    moved_by_now = f"xmin = {_WRITER} AND {column} >= statement_timestamp()"
    others = f"\n            AND ({moved_by_now}) IS NOT TRUE" if is_round else ""
    return (
        f"UPDATE {table} SET {column} = GREATEST(clock_timestamp(), {column} + {_STEP})\n"  # noqa: S608
        f"    WHERE {key} IN (\n"
        f"        SELECT {key} FROM {table} WHERE {key} IN ({keys}){others}\n"
        f"        ORDER BY {key} FOR NO KEY UPDATE\n"
        f"    );"
    )


def _function(name: str, body: str, variables: str = "") -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$\n"
        f"{variables}BEGIN\n    {body}\nEND\n$body$;"
    )


def _name(prefix: str, model: type[Model]) -> str:
    return _quoted(truncate_name(prefix + model._meta.db_table, _LONGEST_NAME))


def _quoted(name: str | None) -> str:
    return '"' + str(name).strip('"').replace('"', '""') + '"'
