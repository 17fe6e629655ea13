"""What the source publishes; found by fragcache like `admin.py` by the admin."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, prefetch_related_objects

from courses.models import Content, Course, Module, Subject
from fragcache import Fragment, fragment, register


@fragment(
    "courses/fragments/content_item.html",
    items=Content.objects.all,
    version="updated_at",
)
def content_item(content: Content) -> dict[str, Any]:
    return {"content": content}


@register
class ModuleOutline(Fragment):
    """A class, because it loads what a whole batch of modules shows at once."""

    template_name = "courses/fragments/module_outline.html"
    # The course's title, not its mtime, which moves with any of its modules.
    version = ["updated_at", "course__title"]

    def items(self) -> QuerySet[Module]:
        return Module.objects.select_related("course")

    def get_contexts(self, items: Sequence[tuple[Module]]) -> list[dict[str, Any]]:
        modules = [module for (module,) in items]
        prefetch_related_objects(modules, "course", "contents")
        return [{"module": module, "contents": module.contents.all()} for module in modules]


@fragment(
    "courses/fragments/course_card.html",
    items=Course.objects.select_related("subject").all,
    version=["updated_at", "subject__updated_at"],
    prefetch_related=["modules"],
)
def course_card(course: Course) -> dict[str, Any]:
    modules = course.modules.all()
    return {
        "course": course,
        "modules": modules,
        "minutes": sum(module.minutes for module in modules),
    }


def everything_listed() -> tuple[tuple[str, int, datetime], ...]:
    return tuple(
        (model.__name__, pk, updated_at)
        for model in (Subject, Course)
        for pk, updated_at in model.objects.order_by("pk").values_list("pk", "updated_at")
    )


@fragment("courses/fragments/subject_list.html", version=everything_listed)
def subject_list() -> dict[str, Any]:
    return {"subjects": Subject.objects.prefetch_related("courses__subject")}
