"""Promise T3 as a table: of 15 ordinary ways to change what a row shows, which move its mtime."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import connections, models
from django.utils import timezone

from fragcache.touching.triggers import statements
from tests.studio.models import Label, Session, Song, Tag, Take, Verse

pytestmark = pytest.mark.django_db(databases=["default", "second"])


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A row, what belongs to it, and the database that they are in."""

    row: Any
    children: Any
    label: Any
    child: Any
    alias: str
    folder: Path

    @property
    def rows(self) -> Any:
        return type(self.row).objects

    def changed(self) -> Any:
        self.row.title = "Second"
        return self.row


def upsert(scene: Scene) -> None:
    scene.rows.bulk_create(
        [type(scene.row)(title="Second", slug="first")],
        update_conflicts=True,
        update_fields=["title"],
        unique_fields=["slug"],
    )


def raw_sql(scene: Scene) -> None:
    table = scene.row._meta.db_table
    with connections[scene.alias].cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET title = 'Second'")


def loaddata(scene: Scene) -> None:
    (data,) = json.loads(serializers.serialize("json", [scene.changed()]))
    path = scene.folder / "data.json"
    path.write_text(json.dumps([data]))
    call_command("loaddata", str(path), verbosity=0, database=scene.alias)


WRITES: dict[str, Callable[[Scene], Any]] = {
    "save()": lambda s: s.changed().save(),
    "save(update_fields)": lambda s: s.changed().save(update_fields=["title"]),
    "update()": lambda s: s.rows.update(title="Second"),
    "update(F())": lambda s: s.rows.update(plays=models.F("plays") + 1),
    "bulk_update()": lambda s: s.rows.bulk_update([s.changed()], ["title"]),
    "bulk_create(update_conflicts)": upsert,
    "update_or_create()": lambda s: s.rows.update_or_create(
        slug="first", defaults={"title": "Second"}
    ),
    "raw SQL": raw_sql,
    "loaddata": loaddata,
    "m2m add": lambda s: s.row.labels.add(type(s.label).objects.create(name="new")),
    "m2m clear": lambda s: s.row.labels.clear(),
    "child save": lambda s: s.children(session=s.row, number=9).save(),
    "child delete": lambda s: s.child.delete(),
    "children update()": lambda s: s.row.takes.update(number=7),
    "related rename": lambda s: type(s.label).objects.update(name="studio"),
}
OF_THE_ROW = [name for name in WRITES if "m2m" not in name and "child" not in name][:-1]
BEYOND_THE_ORM = ["raw SQL", "loaddata"]

#: What moves the mtime, by what the model is.
MOVED = {
    "auto_now": {"save()", "update_or_create()"},
    "auto_now and trigger": {*OF_THE_ROW},
    "TouchedModel": {*WRITES} - {*BEYOND_THE_ORM},
    "TouchedModel and trigger": {*WRITES},
}


@pytest.fixture(params=["default", "second"])
def alias(request: pytest.FixtureRequest, route: Any) -> str:
    """PostgreSQL, or what the tests run on, and SQLite."""
    alias: str = request.param
    route(reads=alias, writes=alias)
    return alias


@pytest.fixture(params=MOVED)
def kind(request: pytest.FixtureRequest, alias: str) -> str:
    kind: str = request.param
    if "trigger" in kind:
        if connections[alias].vendor != "postgresql":
            pytest.skip("triggers are PostgreSQL's")
        with connections[alias].cursor() as cursor:
            for model in (Session, Take) if "Touched" in kind else (Song,):
                for sql in statements(model)[0]:
                    cursor.execute(sql)
    return kind


@pytest.fixture
def scene(kind: str, alias: str, tmp_path: Path) -> Scene:
    own, children, labels = (Session, Take, Label) if "Touched" in kind else (Song, Verse, Tag)
    row: Any = own(title="First", slug="first")
    row.save()
    label: Any = labels(name="live")
    label.save()
    row.labels.add(label)
    child: Any = children(session=row, number=1)
    child.save()
    return Scene(
        row=own._base_manager.get(pk=row.pk),
        children=children,
        label=label,
        child=child,
        alias=alias,
        folder=tmp_path,
    )


@pytest.mark.parametrize("write", WRITES)
def test_which_write_paths_move_the_mtime(scene: Scene, kind: str, alias: str, write: str) -> None:
    def mtime() -> dt.datetime:
        rows = models.QuerySet(type(scene.row), using=alias)
        moment: dt.datetime = rows.values_list("updated_at", flat=True).get(pk=scene.row.pk)
        return moment

    before = mtime()
    assert before <= timezone.now()

    WRITES[write](scene)

    assert (mtime() > before) is (write in MOVED[kind])


def test_the_table_of_the_docs_is_this_one() -> None:
    assert {kind: len(moved) for kind, moved in MOVED.items()} == {
        "auto_now": 2,
        "auto_now and trigger": 9,
        "TouchedModel": 13,
        "TouchedModel and trigger": 15,
    }
    text = (Path(__file__).parent.parent / "docs" / "truth.md").read_text()
    for write in WRITES:
        cells = ["yes" if write in moved else "no" for moved in MOVED.values()]
        assert f"| {write} | {' | '.join(cells)} |" in text.replace("`", "")
