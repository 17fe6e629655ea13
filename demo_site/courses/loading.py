"""Bring the courses of the data file into the database, writing only what differs."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import models, transaction

from courses.lessons import mended_contents, module_title, published_site
from courses.models import Content, Course, Module, Subject


@dataclass(kw_only=True)
class Loaded:
    """How many rows were added and changed; the others were as they should be."""

    added: int = 0
    changed: int = 0

    def synchronise(
        self, stored: models.QuerySet, key: str, wanted: list[dict[str, Any]]
    ) -> list[Any]:
        """Return a row for each of the wanted ones; the field `key` tells them apart."""
        rows = {getattr(row, key): row for row in stored}
        new = [stored.model(**fields) for fields in wanted if fields[key] not in rows]
        different = [
            fields
            for fields in wanted
            if fields[key] in rows and differs(rows[fields[key]], fields)
        ]
        stored.model.objects.bulk_create(new)
        for fields in different:
            row = rows[fields[key]]
            for name, value in fields.items():
                setattr(row, name, value)
            row.save()
        self.added += len(new)
        self.changed += len(different)
        rows |= {getattr(row, key): row for row in new}
        return [rows[fields[key]] for fields in wanted]


def differs(row: models.Model, fields: dict[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in fields.items())


@transaction.atomic
def load(data: dict[str, Any], progress: Callable[[str], object] | None) -> Loaded:
    loaded = Loaded()
    subjects = loaded.synchronise(Subject.objects.all(), "slug", data["subjects"])
    subject_of = {subject.title: subject for subject in subjects}
    for number, course in enumerate(data["courses"], start=1):
        if progress is not None:
            progress(f"Course {number} of {len(data['courses'])}: {course['title']}")
        load_course(loaded, subject_of[course["subject"]], course)
    return loaded


def load_course(loaded: Loaded, subject: Subject, data: dict[str, Any]) -> None:
    site = published_site(data["source"])
    fields = {"subject": subject, "title": data["title"], "slug": data["slug"], "source": site}
    [course] = loaded.synchronise(Course.objects.select_related("subject"), "slug", [fields])
    modules = loaded.synchronise(
        Module.objects.filter(course=course).select_related("course"),
        "order",
        [
            {
                "course": course,
                "order": order,
                "title": module_title(module["title"]),
                "description": module["description"],
                "minutes": module["minutes"],
            }
            for order, module in enumerate(data["modules"], start=1)
        ],
    )
    for module, module_data in zip(modules, data["modules"], strict=True):
        contents = mended_contents(module_data["contents"], site)
        loaded.synchronise(
            Content.objects.filter(module=module).select_related("module"),
            "order",
            [
                {"module": module, "order": order, **asdict(content)}
                for order, content in enumerate(contents, start=1)
            ],
        )
