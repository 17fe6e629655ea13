"""The panel of django-debug-toolbar."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from debug_toolbar.panels import Panel
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from fragcache import conf
from fragcache.contrib.debug_toolbar.rows import rows_of
from fragcache.tracing import Trace, record

_MILLISECOND = 1_000_000


class FragcachePanel(Panel):  # type: ignore[misc]
    """The fragments of a page as a tree: what each of them cost, and why it was missed."""

    title = _("Fragments of this page")
    nav_title = _("Fragments")
    nav_icon = "debug_toolbar/img/cache.svg"
    template = "fragcache/debug_toolbar_panel.html"
    is_async = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recording: ExitStack | None = None
        self._trace = Trace()

    @property
    def nav_subtitle(self) -> str:
        stats = self.get_stats()
        if not stats.get("instances"):
            return ""
        hits = ngettext("%(number)d hit", "%(number)d hits", stats["hits"])
        misses = ngettext("%(number)d miss", "%(number)d misses", stats["misses"])
        trips = ngettext("%(number)d round trip", "%(number)d round trips", stats["round_trips"])
        return ", ".join(
            text % {"number": stats[name]}
            for text, name in ((hits, "hits"), (misses, "misses"), (trips, "round_trips"))
        )

    def enable_instrumentation(self) -> None:
        """Record what is done until ``disable_instrumentation``."""
        if self._recording is None:
            self._recording = ExitStack()
            self._trace = self._recording.enter_context(record())

    def disable_instrumentation(self) -> None:
        """Record no more."""
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def generate_stats(self, request: HttpRequest, response: HttpResponse) -> None:
        """Hand what was recorded to the toolbar, in texts and numbers, as it keeps them as JSON."""
        totals = self._trace.totals()
        self.record_stats(
            {
                "is_enabled": conf.settings().ENABLED,
                "instances": totals.instances,
                "hits": totals.hits,
                "local": totals.local,
                "misses": totals.instances - totals.hits,
                "stale": totals.stale,
                "renders": totals.renders,
                "round_trips": totals.round_trips,
                "duration": totals.duration / _MILLISECOND,
                "waited": totals.waited / _MILLISECOND,
                "rendering": totals.rendering / _MILLISECOND,
                "rows": rows_of(self._trace),
            }
        )

    def generate_server_timing(self, request: HttpRequest, response: HttpResponse) -> None:
        """Tell the browser's own tools the sums."""
        stats = self.get_stats()
        self.record_server_timing("fragments", str(self.nav_subtitle), stats["duration"])
        self.record_server_timing("cache", "Waiting for caches", stats["waited"])
        self.record_server_timing("render", "Rendering fragments", stats["rendering"])
