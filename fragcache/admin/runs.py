"""The runs of ``warm_fragments``, to be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from fragcache.admin.documents import document
from fragcache.admin.pages import links
from fragcache.models import FragmentCache, WarmRun
from fragcache.warming.history import (
    DIED,
    Locks,
    described,
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

#: What differs from run to run in its parts: there are no columns for it.
_NESTED = {"options", "batches", "fragments"}

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
        *("shown_status", "started_at", "finished_at", "shown_seconds", "host", "pid"),
        *("options", "shown_fragments", "problem"),
    ]
    readonly_fields = ["shown_status", "shown_seconds", "shown_fragments"]

    class Media:
        js = ["fragcache/runs.js"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress_view)
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
        query = request.GET.copy()
        form = "".join(query.pop("format", []))
        context = self._linked(request) | (extra_context or {})
        for one in ("json", "csv"):
            query["format"] = one
            context[f"as_{one}"] = f"?{query.urlencode()}"
        del query["format"]
        try:
            if form in {"json", "csv"}:
                request.GET = query  # type: ignore[assignment]  # for Django all is filters
                return self._document(request, form)
            return super().changelist_view(request, context)
        except DatabaseError as error:
            said = str(error).strip().partition("\n")[0]
            text = _(
                "The runs cannot be read: %(error)s. If the table is missing, `manage.py migrate "
                "fragcache` makes it."
            ) % {"error": said}
            return HttpResponse(f"{text}\n", status=503, content_type="text/plain; charset=utf-8")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = self._linked(request) | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)

    def get_list_display(self, request: HttpRequest) -> list[str | Column]:
        locks = Locks()  # asked once for all rows
        return ["started_at", _seconds(locks), "host", _status(locks), *_counts(locks)]

    @admin.display(description=_("status"))
    def shown_status(self, run: WarmRun) -> Any:
        return _status(Locks())(run)

    @admin.display(description=_("seconds"))
    def shown_seconds(self, run: WarmRun) -> Any:
        return _seconds(Locks())(run)

    @admin.display(description=_("fragments"))
    def shown_fragments(self, run: WarmRun) -> Any:
        locks = Locks()
        return _live(run, "fragments", _counted(run, locks), locks)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: WarmRun | None = None) -> bool:
        return False

    def _linked(self, request: HttpRequest) -> dict[str, Any]:
        """Return the links to the other pages, where this site has these."""
        has_pages = self.admin_site.is_registered(FragmentCache)
        return {"links": links(self.admin_site, request) if has_pages else []}

    def _document(self, request: HttpRequest, form: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters as error:
            text = _("The filter cannot be used: %(error)s") % {"error": error}
            return HttpResponseBadRequest(f"{text}\n", content_type="text/plain; charset=utf-8")
        locks = Locks()
        records = [{"id": run.pk} | described(run, locks) for run in found]
        if form == "csv":  # where all rows have the same columns
            records = [{k: v for k, v in row.items() if k not in _NESTED} for row in records]
        return document(form, records, name="runs", about={})


def _told(run: WarmRun, locks: Locks) -> dict[str, Any]:
    """Return whether a run goes on, and the texts that the pages show of it, by part."""
    shown: dict[str, Any] = {word: total_of(run, word, locks) for word in COUNTS}
    shown |= {"status": _worded(run, locks), "seconds": seconds_of(run, locks)}
    shown["fragments"] = _counted(run, locks)
    return {
        "is_running": _is_running(run, locks),
        "texts": {part: "-" if one is None else str(one) for part, one in shown.items()},
    }


def _counted(run: WarmRun, locks: Locks) -> str:
    """Return the counts of each fragment, on a line of its own."""
    lines = []
    for name, counts in sorted(fragments_of(run, locks).items()):
        said = [f"{COUNTS[word]} {counts[word]}" for word in COUNTS if word in counts]
        if "seconds" in counts:
            said.append(_("%(number)s s") % {"number": counts["seconds"]})
        lines.append(f"{name}: {', '.join(map(str, said))}")
    return "\n".join(lines) or "-"


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
