"""The page of one instance: each part of its keys, what is stored, and how it looks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from fragcache import axes, deadline, registry
from fragcache.admin.examples import Example, examples
from fragcache.admin.forms import InstanceForm
from fragcache.admin.pages import page, shown
from fragcache.entry import Kind
from fragcache.exceptions import FragcacheError
from fragcache.explaining import Explanation, explain
from fragcache.stats.answering import PATIENCE
from fragcache.stats.deployments import deployment

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin

logger = logging.getLogger("fragcache")

#: What is stored runs no scripts here, sends no forms, and knows nothing of who looks at it.
_POLICY = (
    "sandbox; default-src 'none'; img-src 'self' data:; font-src 'self'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'"
)


@page("instance/", name="instance", label=_("Instance"))
def show_instance(admin: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Explain the instance that the address names, and show it in a frame."""
    form = InstanceForm(request.GET if "fragment" in request.GET else None, request)
    explanation = _explained(form) if form.is_valid() else None
    fragment = form.cleaned_data.get("fragment") if form.is_bound else None
    to_begin_with: list[Example] = []
    if "arguments" not in request.GET:
        form.errors.pop("arguments", None)  # who comes from a fragment's page was not asked yet
        to_begin_with = examples(fragment) if fragment is not None and fragment.is_local else []
    has_preview = explanation is not None and _is_html(explanation)
    # A single instance that is found by its version alone cannot be invalidated.
    may_invalidate = (
        explanation is not None
        and form.cleaned_data["fragment"].is_stamped
        and request.user.has_perm("fragcache.invalidate_fragments")
    )
    return shown(
        admin,
        request,
        "admin/fragcache/instance.html",
        title=_("Instance"),
        form=form,
        names=[fragment.name for fragment in registry.all_fragments()],
        explanation=explanation,
        examples=[(_link(request, one), one) for one in to_begin_with],
        deployment=deployment(form.cache) if explanation else None,
        preview=_address(admin, request, "preview") if has_preview else "",
        invalidate=_address(admin, request, "invalidate") if may_invalidate else "",
    )


@page("instance/preview/", name="preview")
def show_preview(admin: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Return the HTML that is stored, as a document that can do nothing."""
    form = InstanceForm(request.GET, request)
    found = _explained(form) if form.is_valid() else None
    if found is None or found.entry is None or not _is_html(found):
        response = HttpResponse(_("Nothing is stored."), status=404, content_type="text/plain")
    else:
        html = SafeString(found.entry.payload, "utf-8")
        response = HttpResponse(
            format_html("<!doctype html><title>{}</title>{}", _("Preview"), html)
        )
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _address(admin: FragmentCacheAdmin, request: HttpRequest, name: str) -> str:
    """Return where another page is about the same instance."""
    address = reverse(f"admin:fragcache_{name}", current_app=admin.admin_site.name)
    return f"{address}?{request.GET.urlencode()}"


def _link(request: HttpRequest, example: Example) -> str:
    query = request.GET.copy()
    query["arguments"] = example.arguments
    return f"?{query.urlencode()}"


def _explained(form: InstanceForm) -> Explanation | None:
    """Explain what a valid form names; None if that fails, of which the form then tells."""
    fragment = form.cleaned_data["fragment"]
    try:
        with deadline.within(PATIENCE), axes.activated(form.axis_values):
            return explain(fragment, form.cache, *form.args, **form.kwargs)
    except FragcacheError as error:
        form.add_error(None, str(error))
    except Exception as error:
        # The site's code tells the version; whoever looks here wants to know that it fails.
        logger.exception("%s cannot be explained.", fragment.name)
        form.add_error(None, f"{type(error).__name__}: {error}")
    return None


def _is_html(explanation: Explanation) -> bool:
    return explanation.entry is not None and explanation.entry.kind == Kind.HTML
