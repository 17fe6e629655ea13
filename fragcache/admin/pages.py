"""The table of pages below the overview: each module of this package adds its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import django
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from django.urls import register_converter, reverse
from django.urls.converters import PathConverter
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

    from fragcache.admin.overview import FragmentCacheAdmin

#: What is called with the admin of the overview, the request, and what the route has.
View = Callable[..., HttpResponse]
OVERVIEW: Final = "admin:fragcache_fragmentcache_changelist"
VIEW: Final = "view_fragmentcache"
RUNS: Final = "admin:fragcache_warmrun_changelist"


class Page(NamedTuple):
    """One page, and who may see it."""

    #: Below the overview: "servers/".
    route: str
    #: "servers", for ``reverse("admin:fragcache_servers")``.
    name: str
    #: "view_fragmentcache", "warm_fragments", "invalidate_fragments" or "clear_fragments".
    permission: str
    #: Its name in the row of links above all pages; "" for a page that is not linked there.
    label: str | Promise
    view: View

    @property
    def url_name(self) -> str:
        return f"fragcache_{self.name}"

    def bound(self, admin: FragmentCacheAdmin) -> Callable[..., HttpResponse]:
        """Return the view as Django calls it, for those who may see the page."""
        return guarded(admin, self.view, self.permission)


class Link(NamedTuple):
    """A link above a page."""

    label: str | Promise
    address: str
    is_here: bool = False


class NameConverter(PathConverter):
    """The name of a fragment, or of a block, which may be any text."""

    regex = r"[\s\S]+"


register_converter(NameConverter, "fragment_name")
PAGES: Final[list[Page]] = []


def page(
    route: str,
    *,
    name: str,
    permission: str = VIEW,
    label: str | Promise = "",
) -> Callable[[View], View]:
    """Make a view of the decorated function, which may raise ``BadRequest`` with a sentence."""

    def add(view: View) -> View:
        PAGES.append(Page(route, name, permission, label, view))
        return view

    return add


def guarded(admin: FragmentCacheAdmin, view: View, permission: str) -> Callable[..., HttpResponse]:
    """Return a view for those who have the permission; ``admin_view`` sees to the rest.

    It is in no transaction: a query that fails, of counts or of the site's code, breaks none of
    Django's, and what an action has written is known when it is told.
    """

    @transaction.non_atomic_requests
    @wraps(view)
    def guarded(request: HttpRequest, **arguments: Any) -> HttpResponse:
        if not request.user.has_perm(f"fragcache.{permission}"):
            raise PermissionDenied
        try:
            return view(admin, request, **arguments)
        except BadRequest as error:
            return HttpResponseBadRequest(f"{error}\n", content_type="text/plain; charset=utf-8")

    return guarded


def shown(
    admin: FragmentCacheAdmin,
    request: HttpRequest,
    template: str,
    *,
    title: Any,
    below: bool = True,
    **context: Any,
) -> HttpResponse:
    """Return a page in the frame of the admin; ``below`` the overview, or the overview itself."""
    request.current_app = admin.admin_site.name
    everything = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": title,
        "links": links(admin.admin_site, request),
        "crumbs": _overview(admin.admin_site, request, _("Fragment cache")) if below else [],
        "has_list_of_crumbs": django.VERSION >= (6, 1),
        **context,
    }
    return TemplateResponse(request, template, everything)


def links(site: AdminSite, request: HttpRequest) -> list[Link]:
    """Return links to what one may see, and after these to what one may do."""
    may = request.user.has_perm
    found = _overview(site, request, _("Overview"))
    linked = [page for page in PAGES if page.label and may(f"fragcache.{page.permission}")]
    found += [_link(site, page) for page in linked if page.permission == VIEW]
    if may("fragcache.view_warmrun"):
        found.append(Link(_("Warm runs"), _address(site, RUNS)))
    found += [_link(site, page) for page in linked if page.permission != VIEW]
    return [link._replace(is_here=link.address == request.path) for link in found]


def _overview(site: AdminSite, request: HttpRequest, label: Any) -> list[Link]:
    """Return the link to the overview, for who may see it."""
    may_see = request.user.has_perm(f"fragcache.{VIEW}")
    return [Link(label, _address(site, OVERVIEW))] if may_see else []


def _link(site: AdminSite, page: Page) -> Link:
    return Link(page.label, _address(site, f"admin:{page.url_name}"))


def _address(site: AdminSite, name: str) -> str:
    return reverse(name, current_app=site.name)
