"""The table of pages below the overview: each module of this package adds its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin

#: What is called with the admin of the overview, the request, and what the route has.
View = Callable[..., HttpResponse]


class Page(NamedTuple):
    """One page, and who may see it."""

    #: Below the overview: "servers/".
    route: str
    #: "servers", for ``reverse("admin:fragcache_servers")``.
    name: str
    #: "view_fragmentcache", "warm_fragments", "invalidate_fragments" or "clear_fragments".
    permission: str
    view: View

    @property
    def url_name(self) -> str:
        return f"fragcache_{self.name}"

    def bound(self, admin: FragmentCacheAdmin) -> Callable[..., HttpResponse]:
        """Return the view as Django calls it, for those who may see the page."""

        @wraps(self.view)
        def view(request: HttpRequest, **arguments: Any) -> HttpResponse:
            if not request.user.has_perm(f"fragcache.{self.permission}"):
                raise PermissionDenied
            return self.view(admin, request, **arguments)

        return never_cache(view)


PAGES: Final[list[Page]] = []


def page(
    route: str, *, name: str, permission: str = "view_fragmentcache"
) -> Callable[[View], View]:
    """Make a view of the decorated function."""

    def add(view: View) -> View:
        PAGES.append(Page(route, name, permission, view))
        return view

    return add
