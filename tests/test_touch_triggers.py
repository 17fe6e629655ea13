"""``fragments trigger``: a migration by which raw SQL and loaddata move the mtime."""

from __future__ import annotations

import importlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connection, connections, models, transaction
from django.test.utils import isolate_apps

from fragcache.models import TouchedModel
from fragcache.touching.triggers import left_to_the_orm, statements
from tests.studio.models import Band, Session, Take

needs_postgresql = pytest.mark.skipif(
    "postgresql" not in connections.settings["default"]["ENGINE"], reason="needs PostgreSQL"
)
numbers = itertools.count()


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, db: None
) -> Iterator[Path]:
    """The folder of the app's migrations, of which the first one is applied."""
    name = f"studio_migrations_{next(numbers)}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"studio": name}
    call_command("makemigrations", "studio", verbosity=0)
    importlib.invalidate_caches()
    call_command("migrate", "studio", fake=True, verbosity=0)
    yield folder
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def trigger(*args: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("fragments", "trigger", *args, stdout=out, stderr=err)
    importlib.invalidate_caches()
    return out.getvalue(), err.getvalue()


def migrate(*args: str) -> None:
    with connection.cursor() as cursor:  # no trigger changes while others are about to fire
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    call_command("migrate", "studio", *args, verbosity=0)


def execute(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def triggers() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'fragcache%%'", [])
        return int(cursor.fetchone()[0])


@needs_postgresql
class TestOnPostgreSQL:
    @pytest.fixture(autouse=True)
    def migrated(self, folder: Path) -> None:
        for model in ("studio.Session", "studio.Take"):
            trigger(model)
        migrate()

    @pytest.fixture
    def session(self) -> Session:
        return Session.objects.create(title="x", band=Band.objects.create(name="Kraan"))

    @pytest.fixture
    def mtime(self, session: Session) -> Callable[[], Any]:
        return lambda: Session.objects.values_list("updated_at", flat=True).get(pk=session.pk)

    def test_raw_sql_moves_the_mtime_upwards(self, session: Session, mtime: Any) -> None:
        Session.objects.update(updated_at="2020-01-01T00:00:00Z")
        assert mtime().year > 2020, "this would take it back"
        for _ in range(3):
            before = mtime()
            execute("UPDATE studio_session SET title = 'y'")
            assert mtime() > before

    def test_an_mtime_that_is_ahead_moves_by_steps(self) -> None:
        execute(
            "INSERT INTO studio_session (title, slug, plays, updated_at) "
            "VALUES ('x', 'x', 0, '2100-01-01 00:00:00Z')"
        )
        for microsecond in (1, 2):
            execute("UPDATE studio_session SET title = 'y'")
            assert Session.objects.get().updated_at == datetime(
                2100, 1, 1, 0, 0, 0, microsecond, UTC
            )

    def test_loaddata_moves_the_mtime_upwards(
        self, session: Session, mtime: Any, tmp_path: Path
    ) -> None:
        (data,) = json.loads(serializers.serialize("json", [session]))
        data["fields"] |= {"title": "loaded", "updated_at": "2020-01-01T00:00:00Z"}
        (tmp_path / "data.json").write_text(json.dumps([data]))
        before = mtime()

        call_command("loaddata", str(tmp_path / "data.json"), verbosity=0)

        assert Session.objects.get().title == "loaded"
        assert mtime() > before

    def test_an_object_has_the_mtime_of_its_row(self, session: Session, mtime: Any) -> None:
        session.save()
        assert session.__dict__["updated_at"] == mtime()
        Session.objects.bulk_update([session], ["title"])
        assert session.__dict__["updated_at"] == mtime()

    @pytest.mark.parametrize(
        "sql",
        [
            "INSERT INTO studio_take (session_id, number, mtime) VALUES (%s, 9, now())",
            "UPDATE studio_take SET number = 7 WHERE session_id = %s",
            "UPDATE studio_take SET session_id = session_id + 1 WHERE session_id = %s",
            "DELETE FROM studio_take WHERE session_id = %s",
        ],
    )
    def test_raw_sql_moves_what_its_rows_touch(
        self, session: Session, mtime: Any, sql: str
    ) -> None:
        Take.objects.create(session=session)
        Session.objects.create(title="other")
        band = Band.objects.get()
        before = mtime(), band.updated_at

        execute(sql, session.pk)

        band.refresh_from_db()
        assert mtime() > before[0]
        assert band.updated_at > before[1]

    def test_a_row_that_is_joined_is_touched(self, session: Session, mtime: Any) -> None:
        Take.objects.create(session=Session.objects.create(title="other"))
        before = mtime()
        execute("UPDATE studio_take SET session_id = %s", session.pk)

        assert mtime() > before

    def test_of_what_is_touched_no_more_nothing_is_left(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Session, "touches", [])
        trigger("studio.Session")
        migrate()
        execute("ALTER TABLE studio_session DROP COLUMN band_id")

        execute("UPDATE studio_session SET title = 'y'")

    def test_the_migration_can_be_taken_back(self, session: Session, mtime: Any) -> None:
        assert triggers() == 8
        migrate("0001")
        assert triggers() == 0
        before = mtime()
        execute("UPDATE studio_session SET title = 'y'")
        assert mtime() == before


@needs_postgresql
class TestRowsThatTouchRowsOfTheirOwnTable:
    @pytest.fixture
    def folders(self, db: None) -> Any:
        with isolate_apps("tests.studio"):

            class Folder(TouchedModel):
                parent = models.ForeignKey("self", models.CASCADE, null=True)

                touches: ClassVar = ["parent"]

                class Meta:
                    app_label = "studio"

        with connection.schema_editor() as editor:
            editor.create_model(Folder)
        for sql in statements(Folder)[0]:
            execute(sql)
        return Folder

    def moved_by(self, folders: Any, sql: str, *params: Any) -> set[int]:
        before = dict(folders.objects.values_list("pk", "mtime"))
        execute(sql, *params)
        after = dict(folders.objects.values_list("pk", "mtime"))
        return {pk for pk, mtime in before.items() if after.get(pk, mtime) > mtime}

    def test_all_above_a_row_move_with_it(self, folders: Any) -> None:
        top = folders.objects.create()
        middle = folders.objects.create(parent=top)
        low = folders.objects.create(parent=middle)
        change = "UPDATE studio_folder SET mtime = mtime WHERE id = %s"

        assert self.moved_by(folders, change, low.pk) == {top.pk, middle.pk, low.pk}
        assert self.moved_by(folders, change, middle.pk) == {top.pk, middle.pk}
        assert self.moved_by(folders, change, 0) == set()
        insert = "INSERT INTO studio_folder (mtime, parent_id) VALUES (now(), %s)"
        assert self.moved_by(folders, insert, middle.pk) == {top.pk, middle.pk}

    def test_a_circle_moves_once_with_each_statement(self, folders: Any) -> None:
        rows = [folders.objects.create() for _ in range(3)]
        ring = {row.pk for row in rows}
        for row, parent in zip(rows, [*rows[1:], rows[0]], strict=True):
            row.parent = parent
            row.save()
        change = "UPDATE studio_folder SET mtime = mtime WHERE id = %s"

        assert self.moved_by(folders, change, rows[1].pk) == ring
        with transaction.atomic():
            assert self.moved_by(folders, change, rows[1].pk) == ring
        own = "UPDATE studio_folder SET parent_id = id WHERE id = %s"
        assert self.moved_by(folders, own, rows[0].pk) == ring, "it leaves them"
        assert self.moved_by(folders, change, rows[0].pk) == {rows[0].pk}


@isolate_apps("tests.studio")
def test_a_foreign_key_in_another_table_is_left_to_the_orm() -> None:
    class Place(models.Model):
        band = models.ForeignKey(Band, models.CASCADE, related_name="+")

        class Meta:
            app_label = "studio"

    class Stage(Place, TouchedModel):
        session = models.ForeignKey(Session, models.CASCADE, related_name="+")

        touches: ClassVar = ["band", "session"]

        class Meta:
            app_label = "studio"

    forward, _ = statements(Stage)
    assert "session_id" in "".join(forward)
    assert "band_id" not in "".join(forward)
    assert left_to_the_orm(Stage) == ["band"]


@needs_postgresql
class TestTheCommand:
    def test_it_writes_the_next_migration(self, folder: Path) -> None:
        out, _ = trigger("studio.Session")

        assert out == f"Wrote {folder / '0002_touch_session.py'}: run `manage.py migrate`.\n"
        text = (folder / "0002_touch_session.py").read_text()
        assert "('studio', '0001_initial')," in text

    def test_it_writes_none_twice(self, folder: Path) -> None:
        trigger("studio.Session")

        assert trigger("studio.Session")[0] == (
            "The migration 0002_touch_session makes these triggers.\n"
        )
        assert not list(folder.glob("0003*"))

    def test_a_model_that_touches_something_else_gets_another(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trigger("studio.Session")
        monkeypatch.setattr(Session, "touches", [])
        with pytest.raises(CommandError, match=r"0003_touch_session\.py is missing"):
            trigger("studio.Session", "--check")

    def test_a_dry_run_prints_it(self, folder: Path) -> None:
        out, _ = trigger("studio.Session", "--dry-run")
        assert not list(folder.glob("0002*"))
        trigger("studio.Session")
        assert (folder / "0002_touch_session.py").read_text() == out

    def test_a_folder_that_cannot_be_written_to_is_an_error(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_given: object, **_options: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "write_text", refuse)
        message = r"0002_touch_session\.py cannot be written: Permission denied. Use --dry-run"
        with pytest.raises(CommandError, match=message):
            trigger("studio.Session")

    def test_a_check_fails_until_it_is_there(self, folder: Path) -> None:
        with pytest.raises(CommandError, match=r"0002_touch_session\.py is missing") as caught:
            trigger("studio.Session", "--check")
        assert caught.value.returncode == 1
        trigger("studio.Session")
        trigger("studio.Session", "--check")

    def test_it_says_what_no_trigger_follows(self, folder: Path) -> None:
        _, err = trigger("studio.Label")

        assert err.startswith("No trigger follows 'sessions' of its touches")

    @pytest.mark.parametrize(
        ("label", "said"),
        [
            ("studio.Sesion", "'studio.Sesion' is no model"),
            ("studio", "'studio' is no model. Write APP.MODEL, as in 'blog.Post'."),
            ("studio.Mic", "studio.Mic has 0 fields that could move"),
            ("studio.LiveSession", "The mtime of studio.LiveSession is studio.Session's"),
            ("library.Album", "The app 'library' has 0 latest migrations"),
        ],
    )
    def test_what_has_no_trigger_is_refused(self, folder: Path, label: str, said: str) -> None:
        with pytest.raises(CommandError) as caught:
            trigger(label)

        assert said in str(caught.value)
        assert caught.value.returncode == 2

    def test_a_column_that_no_migration_has_is_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = folder / "0001_initial.py"
        path.write_text(path.read_text().replace("('updated_at'", "('changed_at'"))
        # Of the same size and second as before: what was compiled would be taken for current.
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        for module in [m for m in sys.modules if m.startswith(folder.name)]:
            del sys.modules[module]

        with pytest.raises(CommandError, match=r"No migration has studio\.Session\.updated_at"):
            trigger("studio.Session")


@pytest.mark.skipif(
    "postgresql" in connections.settings["default"]["ENGINE"], reason="needs another database"
)
def test_another_database_is_refused_with_a_remedy(folder: Path) -> None:
    with pytest.raises(CommandError) as caught:
        trigger("studio.Session")

    assert "'default', which is sqlite: triggers are written for postgresql alone" in str(
        caught.value
    )
    assert caught.value.returncode == 2
