"""The migration that ``fragments trigger`` writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

from django.apps import apps
from django.db import connections, migrations, router
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter
from django.db.models import Model

from fragcache.touching.triggers import foreign_keys, left_to_the_orm, mtime_field, statements


class Refused(Exception):
    """There is no such migration, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerMigration:
    """A migration that makes the triggers of a model."""

    path: Path
    text: str
    #: The paths of what the model touches that no trigger follows.
    left_out: tuple[str, ...]
    #: "0004_touch_session" where an earlier migration makes the same triggers.
    made_by: str | None


def trigger_migration(label: str) -> TriggerMigration:
    """Return the migration for "app.Model"; nothing is written.

    Raises:
        Refused: there is no such model or column, or its database is no PostgreSQL.
    """
    model = _model(label)
    try:
        forward, backward = statements(model)
    except ValueError as error:
        raise Refused(str(error)) from error
    _refuse_other_databases(model)
    loader = MigrationLoader(None)
    app = model._meta.app_label
    leaf = _leaf(loader, app)
    _refuse_unmigrated(loader, model)
    number = (MigrationAutodetector.parse_number(leaf) or 0) + 1
    name = f"{number:04d}_touch_{model._meta.model_name}"
    others = {field.related_model._meta.app_label for field in foreign_keys(model)} - {app}
    dependencies = [(app, leaf), *((other, _leaf(loader, other)) for other in sorted(others))]
    return TriggerMigration(
        path=Path(MigrationWriter(migrations.Migration(name, app)).path),
        text=_text(dependencies, forward, backward),
        left_out=tuple(left_to_the_orm(model)),
        made_by=_made_by(loader, app, forward),
    )


def _model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        said = f" {error}" if isinstance(error, LookupError) else ""  # else it is no pair of names
        raise Refused(f"{label!r} is no model.{said} Write APP.MODEL, as in 'blog.Post'.") from None


def _refuse_other_databases(model: type[Model]) -> None:
    alias = router.db_for_write(model)
    vendor = connections[alias].vendor
    if vendor != "postgresql":
        raise Refused(
            f"{model._meta.label} is in the database {alias!r}, which is {vendor}: triggers are "
            "written for postgresql alone. Elsewhere, change rows through the ORM, and call "
            f"{model.__name__}.objects.update() after raw SQL and loaddata."
        )


def _leaf(loader: MigrationLoader, app: str) -> str:
    leaves = loader.graph.leaf_nodes(app)
    if len(leaves) != 1:
        raise Refused(
            f"The app {app!r} has {len(leaves)} latest migrations, not one: run `manage.py "
            f"makemigrations {app}`, with --merge if there are several."
        )
    return str(leaves[0][1])


def _refuse_unmigrated(loader: MigrationLoader, model: type[Model]) -> None:
    column = mtime_field(model).name
    state = loader.project_state().models.get((model._meta.app_label, str(model._meta.model_name)))
    if state is None or column not in state.fields:
        raise Refused(
            f"No migration has {model._meta.label}.{column}: run `manage.py makemigrations "
            f"{model._meta.app_label}` first."
        )


def _made_by(loader: MigrationLoader, app: str, forward: list[str]) -> str | None:
    for (label, name), migration in sorted(loader.disk_migrations.items(), reverse=True):
        for operation in migration.operations if label == app else ():
            made: Any = getattr(operation, "sql", None)
            if isinstance(made, list) and made and made[0].startswith(forward[0].partition("(")[0]):
                return name if made == forward else None  # an earlier state of the model
    return None


def _text(dependencies: Iterable[tuple[str, str]], forward: list[str], backward: list[str]) -> str:
    needed = "".join(f"        ({app!r}, {name!r}),\n" for app, name in dependencies)
    return (
        "# Written by `manage.py fragments trigger`, for PostgreSQL.\n"
        "from django.db import migrations\n\n\n"
        "class Migration(migrations.Migration):\n"
        f"    dependencies = [\n{needed}    ]\n\n"
        "    operations = [\n"
        "        migrations.RunSQL(\n"
        f"            sql=[\n{_listed(forward)}            ],\n"
        f"            reverse_sql=[\n{_listed(backward)}            ],\n"
        "        ),\n"
        "    ]\n"
    )


def _listed(given: list[str]) -> str:
    return "".join(_literal(sql) for sql in given)


def _literal(sql: str) -> str:
    """Write a text as adjacent lines, which is equal to it whatever it has in it."""
    lines = "\n".join(repr(line) for line in sql.splitlines(keepends=True))
    return indent(f"{lines},\n", " " * 16)
