"""The entry of the admin's index: the overview of all fragments, and the pages below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from fragcache.admin.asked import Asked
from fragcache.admin.cards import cards
from fragcache.admin.documents import document, record
from fragcache.admin.figures import declared_names, figures
from fragcache.admin.pages import PAGES, VIEW, guarded, shown
from fragcache.admin.rows import COLUMNS, headed, rows, sorted_rows
from fragcache.admin.wording import SPAN_WORDS
from fragcache.models import FragmentCache

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[FragmentCache]
else:
    Admin = admin.ModelAdmin

#: Fragments on one page.
PAGE_SIZE = 100


@admin.register(FragmentCache)
class FragmentCacheAdmin(Admin):
    """All fragments on one page; what is below it is in the table of ``pages``."""

    def get_urls(self) -> list[URLPattern]:
        # None of Django's own: they would look for rows, and there is no table.
        overview = guarded(self, show_overview, VIEW)
        return [
            path(
                "", self.admin_site.admin_view(overview), name="fragcache_fragmentcache_changelist"
            ),
            *(
                path(page.route, self.admin_site.admin_view(page.bound(self)), name=page.url_name)
                for page in PAGES
            ),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def show_overview(site: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Return the cards and the table of all fragments, or the table alone as JSON or CSV."""
    asked = Asked.of(request, columns=COLUMNS, sort="-saved")
    found = figures(asked.span)
    declared = declared_names()
    everything = rows(found, declared)
    wanted = [row for row in everything if asked.contains.casefold() in row.name.casefold()]
    ordered = sorted_rows(wanted, asked.column, is_descending=asked.is_descending)
    if asked.form != "html":
        about = {"seconds": found.seconds, "problem": found.problem}
        records = [record(row.account) for row in ordered]
        return document(asked.form, records, name="fragments", about=about)
    shown_rows = Paginator(ordered, PAGE_SIZE).get_page(asked.page)
    return shown(
        site,
        request,
        "admin/fragcache/overview.html",
        title=_("Fragment cache"),
        below=False,
        asked=asked,
        cards=cards(found, everything),
        columns=headed(asked),
        is_counted=any(row.is_counted for row in everything),
        is_declared=bool(everything),
        page=shown_rows,
        all=asked.link(q=None, page=None),
        problem=found.problem,
        span=SPAN_WORDS[asked.span],
        spans=[
            (asked.link(last=name, page=None), words, name == asked.span)
            for name, words in SPAN_WORDS.items()
        ],
        previous=asked.link(page=str(shown_rows.number - 1)),
        next=asked.link(page=str(shown_rows.number + 1)),
        as_json=asked.link(format="json", page=None),
        as_csv=asked.link(format="csv", page=None),
    )
