"""The runs of ``warm_fragments``, to be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from fragcache.models import WarmRun
from fragcache.warming.history import (
    DIED,
    Locks,
    fragments_of,
    is_untouched,
    progress_of,
    seconds_of,
    status_of,
    total_of,
)

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[WarmRun]
else:
    Admin = admin.ModelAdmin

#: Of the route that tells of runs that are going on.
PROGRESS = "fragcache_warmrun_progress"
#: How many runs are told of; a page of the list has as many.
ASKED_AT_ONCE = 100

Column = Callable[[WarmRun], Any]
COUNTS = {
    "planned": _("planned"),
    "fresh": _("fresh"),
    "rendered": _("rendered"),
    "stored": _("stored"),
    "refused": _("refused"),
    "failed": _("failed"),
}


@admin.register(WarmRun)
class WarmRunAdmin(Admin):
    """Runs with their counts; they are written by runs alone."""

    list_filter = ["status", "host"]
    date_hierarchy = "started_at"
    fields = [
        *("shown_status", "started_at", "finished_at", "host", "pid"),
        *("options", "shown_fragments", "problem"),
    ]
    readonly_fields = ["shown_status", "shown_fragments"]

    class Media:
        js = ["fragcache/runs.js"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(never_cache(self.progress_view))
        return [path("progress/", view, name=PROGRESS), *super().get_urls()]

    def progress_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with what is shown of runs, by ``?run=KEY``, for those that are still going on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = [key for key in request.GET.getlist("run")[:ASKED_AT_ONCE] if key.isdecimal()]
        locks = Locks()
        found = self.get_queryset(request).filter(pk__in=asked)
        return JsonResponse({"runs": {str(run.pk): _told(run, locks) for run in found}})

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except DatabaseError as error:
            said = str(error).strip().partition("\n")[0]
            text = (
                f"The runs cannot be read: {said}. If the table is missing, `manage.py migrate "
                "fragcache` makes it."
            )
            return HttpResponse(f"{text}\n", status=503, content_type="text/plain; charset=utf-8")

    def get_list_display(self, request: HttpRequest) -> list[str | Column]:
        locks = Locks()  # asked once for all rows
        return ["started_at", _seconds(locks), "host", _status(locks), *_counts(locks)]

    @admin.display(description=_("status"))
    def shown_status(self, run: WarmRun) -> Any:
        return _status(Locks())(run)

    @admin.display(description=_("fragments"))
    def shown_fragments(self, run: WarmRun) -> str:
        locks = Locks()
        return str(_live(run, "fragments", json.dumps(fragments_of(run, locks)), locks))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: WarmRun | None = None) -> bool:
        return False


def _told(run: WarmRun, locks: Locks) -> dict[str, Any]:
    """Return whether a run goes on, and the texts that the pages show of it, by part."""
    shown: dict[str, Any] = {word: total_of(run, word, locks) for word in COUNTS}
    shown |= {"status": _worded(run, locks), "seconds": seconds_of(run, locks)}
    shown["fragments"] = json.dumps(fragments_of(run, locks))
    return {
        "is_running": _is_running(run, locks),
        "texts": {part: "-" if one is None else str(one) for part, one in shown.items()},
    }


def _worded(run: WarmRun, locks: Locks) -> str:
    if status_of(run, locks) == DIED:
        word: Any = _("died")
    else:
        word = _("enqueued") if is_untouched(run, locks) else run.get_status_display()
    return f"{word} {progress_of(run, locks)}".rstrip()


def _is_running(run: WarmRun, locks: Locks) -> bool:
    return status_of(run, locks) == WarmRun.Status.RUNNING


def _live(run: WarmRun, part: str, shown: Any, locks: Locks) -> Any:
    """Return what is shown of a run, for the script to replace while the run goes on."""
    if not _is_running(run, locks):
        return shown
    return format_html(
        '<span data-run="{}" data-part="{}" data-progress="{}">{}</span>',
        run.pk,
        part,
        reverse(f"admin:{PROGRESS}"),
        shown,
    )


def _seconds(locks: Locks) -> Column:
    @admin.display(description=_("seconds"))
    def seconds(run: WarmRun) -> Any:
        return _live(run, "seconds", seconds_of(run, locks), locks)

    return seconds


def _status(locks: Locks) -> Column:
    @admin.display(description=_("status"), ordering="status")
    def status(run: WarmRun) -> Any:
        return _live(run, "status", _worded(run, locks), locks)

    return status


def _counts(locks: Locks) -> list[Column]:
    return [_count(word, locks) for word in COUNTS]


def _count(word: str, locks: Locks) -> Column:
    @admin.display(description=COUNTS[word])
    def count(run: WarmRun) -> Any:
        return _live(run, word, total_of(run, word, locks), locks)

    count.__name__ = word  # the class of its cells
    return count
