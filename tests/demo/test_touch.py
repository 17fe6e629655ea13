"""Every ordinary write moves the mtime of what it changes and of what shows it, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.demo.running import manage

# By the write: whose mtimes move. Row 30 is a content of module 4, which is of course 1.
WRITES = {
    "content.save()": {"Content 30", "Module 4"},
    "content.save(update_fields=['text'])": {"Content 30", "Module 4"},
    "Content.objects.filter(pk=30).update(text='')": {"Content 30", "Module 4"},
    "Content.objects.filter(text=content.text, pk=30).update(text='x')": {"Content 30", "Module 4"},
    "Content.objects.bulk_update([content], ['text'])": {"Content 30", "Module 4"},
    "Content.objects.update_or_create(pk=30, defaults={'text': 'x'})": {"Content 30", "Module 4"},
    "Content.objects.filter(pk=30).update(module=5)": {"Content 30", "Module 4", "Module 5"},
    "content.module_id = 5; content.save()": {"Content 30", "Module 4", "Module 5"},
    "content.delete()": {"Module 4"},
    "Content.objects.filter(pk=30).delete()": {"Module 4"},
    "Content.objects.create(module_id=4, order=99, kind='text')": {"Content 1350", "Module 4"},
    "Content.objects.bulk_create([Content(module_id=4, order=99)])": {"Content 1350", "Module 4"},
    "module.save(update_fields=['title'])": {"Module 4", "Course 1"},
    "course.modules.filter(pk=4).update(title='x')": {"Module 4", "Course 1"},
    "module.delete()": {"Course 1"},
    "course.save()": {"Course 1"},
    "course.subject.save()": {"Subject 1"},
    "content.save(); content.save()": {"Content 30", "Module 4"},
}
SCRIPT = """
import json
from django.db import transaction
from courses.models import *
MODELS = [Subject, Course, Module, Content]

def mtimes():
    return {
        f'{model.__name__} {pk}': updated_at
        for model in MODELS
        for pk, updated_at in model.objects.values_list('pk', 'updated_at')
    }

moved = {}
for write in WRITES:
    with transaction.atomic():
        names = {model.__name__: model for model in MODELS}
        names['content'] = Content.objects.get(pk=30)
        names['module'] = names['content'].module
        names['course'] = names['module'].course
        before = mtimes()
        exec(write, names)
        after = mtimes()
        moved[write] = [row for row, at in after.items() if row not in before or at > before[row]]
        assert all(at >= before.get(row, at) for row, at in after.items()), write
        transaction.set_rollback(True)
print(json.dumps(moved))
"""


@pytest.fixture(scope="module")
def moved(loaded_courses: Path) -> dict[str, list[str]]:
    """By the write: whose mtimes moved. Each is rolled back."""
    script = f"WRITES = {list(WRITES)!r}\n{SCRIPT}"
    answer: dict[str, list[str]] = json.loads(
        manage(loaded_courses, "shell", "--verbosity=0", "-c", script)
    )
    return answer


@pytest.mark.parametrize("write", WRITES)
def test_a_write_moves_the_mtimes_of_its_row_and_of_what_shows_it(
    write: str, moved: dict[str, list[str]]
) -> None:
    assert set(moved[write]) == WRITES[write]
