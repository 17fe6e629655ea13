"""A warm run renders what shows a change, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.demo.running import DEMO_SITE, warm

INSTANCES = {
    "courses.content_item": 1349,
    "courses.course_card": 7,
    "courses.module_outline": 89,
    "courses.subject_list": 1,
}
CHANGES = {
    "Module.objects.filter(pk=3).update(title='A new title')": {
        "courses.course_card": 1,
        "courses.module_outline": 1,
        "courses.subject_list": 1,
    },
    "row = Content.objects.get(pk=5); row.text += 'More.'; row.save(update_fields=['text'])": {
        "courses.content_item": 1,
        "courses.module_outline": 1,
    },
    "row = Course.objects.get(slug='shell-novice'); row.title = 'The Shell'; row.save()": {
        "courses.course_card": 1,
        "courses.module_outline": 7,
        "courses.subject_list": 1,
    },
    "Subject.objects.filter(slug='unix').update(title='Shells')": {
        "courses.course_card": 1,
        "courses.subject_list": 1,
    },
}


def rendered(var: Path, site: Path = DEMO_SITE, *, after: str = "") -> dict[str, int]:
    """Warm, and return how many instances of each fragment were rendered, without zeros."""
    tallies = warm(var, site, after=after).items()
    return {name: counts["rendered"] for name, counts in tallies if counts["rendered"]}


def test_the_first_run_stores_everything_and_the_second_renders_nothing(var: Path) -> None:
    assert {name: counts["stored"] for name, counts in warm(var).items()} == INSTANCES
    assert {name: counts["fresh"] for name, counts in warm(var).items()} == INSTANCES


def test_changes_render_exactly_the_fragments_that_show_them(warmed_var: Path) -> None:
    for change, expected in CHANGES.items():  # what one left to do, the next one's run would do
        assert rendered(warmed_var, after=change) == expected, change
    assert rendered(warmed_var) == {}


def test_an_edited_template_renders_exactly_the_fragments_made_of_it(
    warmed_var: Path, tmp_path: Path
) -> None:
    site = Path(shutil.copytree(DEMO_SITE, tmp_path / "site", ignore=ignored))
    assert rendered(warmed_var, site) == {}
    edits = {
        "fragments/course_card.html": {"courses.course_card": 7, "courses.subject_list": 1},
        # Seven contents in four modules are files. What includes it says so by a variable only.
        "contents/file.html": {"courses.content_item": 7, "courses.module_outline": 4},
    }
    for name, expected in edits.items():
        with (site / "courses/templates/courses" / name).open("a") as template:
            template.write("<!-- edited -->")
        assert rendered(warmed_var, site) == expected, name


def ignored(folder: str, names: list[str]) -> set[str]:
    return {"var", "__pycache__"}.intersection(names)
