"""Bring the courses of the data file into the database, writing only what differs."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.db import transaction

from common.loading import Loaded
from courses.lessons import mended_contents, module_title, published_site
from courses.models import Content, Course, Module, Subject


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
