"""The entry of the admin's index: the overview of all fragments, and the pages below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from fragcache.admin.pages import PAGES
from fragcache.models import FragmentCache

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[FragmentCache]
else:
    Admin = admin.ModelAdmin


@admin.register(FragmentCache)
class FragmentCacheAdmin(Admin):
    """All fragments on one page; what is below it is in the table of ``pages``."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Fragment cache"),
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/fragcache/overview.html", context)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(page.route, self.admin_site.admin_view(page.bound(self)), name=page.url_name)
            for page in PAGES
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
