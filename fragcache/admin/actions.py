"""What can be done from the admin: warm a fragment, invalidate it or one instance, clear all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from fragcache import invalidation
from fragcache.admin import clearing, warming
from fragcache.admin.confirming import Done, Question, confirmed
from fragcache.admin.forms import ClearForm, FragmentForm, InvalidateForm
from fragcache.admin.pages import page

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin


@page("warm/", name="warm", permission="warm_fragments")
def warm(admin: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Warm one fragment."""
    text = _(
        "Renders what is missing or changed: by the workers of the queue, where one is set up. "
        "Else here and now, while this page loads, for at most %(seconds)d seconds and the render "
        "that goes on then; what is missing comes first."
    )
    question = Question(
        _("Warm a fragment"), text % {"seconds": warming.SECONDS}, _("Warm it"), FragmentForm
    )
    return confirmed(admin, request, question, _warm)


@page("invalidate/", name="invalidate", permission="invalidate_fragments")
def invalidate(admin: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Invalidate one instance of a fragment, or all of them."""
    text = _("What was made before now is not current any more; pages render it when they show it.")
    question = Question(_("Invalidate"), text, _("Invalidate"), InvalidateForm)
    return confirmed(admin, request, question, _invalidate)


@page("clear/", name="clear", permission="clear_fragments", label=gettext_lazy("Clear all"))
def clear(admin: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Invalidate all instances of all fragments and blocks."""
    text = _(
        "Every fragment of this site, and every {% cache %} block of its templates, is rendered "
        "anew when a page shows it. Nothing else in the cache is touched, and nothing is "
        "flushed: other sites keep theirs."
    )
    question = Question(_("Clear all fragments"), text, _("Clear all"), ClearForm)
    return confirmed(admin, request, question, _clear)


def _warm(form: FragmentForm) -> Done:
    fragment = form.cleaned_data["fragment"]
    done = warming.warm(fragment)
    level = messages.SUCCESS if done.is_complete else messages.WARNING
    return Done(done.text, fragment.name, f"Warmed. {done.text}", level)


def _invalidate(form: InvalidateForm) -> Done:
    fragment = form.cleaned_data["fragment"]
    if form.is_all:
        invalidation.invalidate_all(fragment, purge=form.cleaned_data["purge"])
        text = _("All instances of %(name)s are invalidated.") % {"name": fragment.name}
        return Done(text, fragment.name, "Invalidated all instances.")
    invalidation.invalidate(fragment, *form.args, **form.kwargs)
    given = form.cleaned_data["arguments"]
    about = f"{fragment.name} {given}".rstrip()
    return Done(_("Invalidated: %(name)s.") % {"name": about}, about, "Invalidated.")


def _clear(form: ClearForm) -> Done:
    fragments, blocks = clearing.clear(purge=form.cleaned_data["purge"])
    said = ngettext("%(number)d fragment", "%(number)d fragments", fragments)
    more = ngettext("%(number)d name of blocks", "%(number)d names of blocks", blocks)
    text = _("Invalidated: %(fragments)s and %(blocks)s.") % {
        "fragments": said % {"number": fragments},
        "blocks": more % {"number": blocks},
    }
    logged = f"Cleared {fragments} fragments and {blocks} names of blocks."
    return Done(text, "all fragments", logged)
