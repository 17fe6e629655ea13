"""`load_courses`: complete, and without effect when there is nothing to do."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.demo.running import DEMO_SITE, environment, manage

EVERYTHING = [
    "SELECT id, updated_at FROM courses_subject ORDER BY id",
    "SELECT id, updated_at FROM courses_course ORDER BY id",
    "SELECT id, updated_at FROM courses_module ORDER BY id",
    "SELECT id, updated_at, kind, title, text FROM courses_content ORDER BY id",
]


def rows(var: Path) -> list[list[tuple[object, ...]]]:
    database = sqlite3.connect(var / "source.sqlite3")
    try:
        return [database.execute(query).fetchall() for query in EVERYTHING]
    finally:
        database.close()


def test_loading_again_changes_nothing_and_moves_no_mtime(var: Path) -> None:
    before = rows(var)
    assert "0 rows added, 0 changed" in manage(var, "load_courses")
    assert rows(var) == before


def test_loading_again_brings_an_edited_title_back(var: Path) -> None:
    manage(
        var,
        "shell",
        "-c",
        "from courses.models import *; Module.objects.filter(pk=3).update(title='Edited')",
    )
    assert "0 rows added, 1 changed" in manage(var, "load_courses")


def test_no_code_block_is_cut_and_no_image_is_left_in_a_text(var: Path) -> None:
    contents = rows(var)[3]
    assert len(contents) == 1349
    for pk, _updated_at, kind, _title, text in contents:
        if kind == "text":
            assert "](fig/" not in str(text), pk


def test_a_file_that_is_no_data_file_is_one_line(var: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    for content, problem in (
        ("{", "cannot be read"),
        (json.dumps({"subjects": []}), "has no 'courses'"),
    ):
        wrong.write_text(content)
        finished = subprocess.run(
            [sys.executable, str(DEMO_SITE / "manage.py"), "load_courses", f"--file={wrong}"],
            env=environment(var),
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 1
        assert problem in finished.stderr
        assert len(finished.stderr.splitlines()) == 1
