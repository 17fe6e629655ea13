"""The runs of ``warm_fragments``, to be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

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

    def get_list_display(self, request: HttpRequest) -> list[str | Column]:
        locks = Locks()  # asked once for all rows
        return ["started_at", _seconds(locks), "host", _status(locks), *_counts(locks)]

    @admin.display(description=_("status"))
    def shown_status(self, run: WarmRun) -> Any:
        return _status(Locks())(run)

    @admin.display(description=_("fragments"))
    def shown_fragments(self, run: WarmRun) -> str:
        return json.dumps(fragments_of(run, Locks()))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: WarmRun | None = None) -> bool:
        return False


def _seconds(locks: Locks) -> Column:
    @admin.display(description=_("seconds"))
    def seconds(run: WarmRun) -> float | None:
        return seconds_of(run, locks)

    return seconds


def _status(locks: Locks) -> Column:
    @admin.display(description=_("status"), ordering="status")
    def status(run: WarmRun) -> Any:
        if status_of(run, locks) == DIED:
            word: Any = _("died")
        else:
            word = _("enqueued") if is_untouched(run, locks) else run.get_status_display()
        return f"{word} {progress_of(run, locks)}".rstrip()

    return status


def _counts(locks: Locks) -> list[Column]:
    return [_count(word, locks) for word in COUNTS]


def _count(word: str, locks: Locks) -> Column:
    @admin.display(description=COUNTS[word])
    def count(run: WarmRun) -> int:
        return total_of(run, word, locks)

    count.__name__ = word  # the class of its cells
    return count
