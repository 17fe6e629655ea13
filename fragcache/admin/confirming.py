"""Confirming: what changes something is asked for on a page of its own, done by POST, and logged.

GET changes nothing. What was done twice does no harm: it is done on what is there then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from fragcache import conf, registry
from fragcache.admin.pages import OVERVIEW, VIEW, shown
from fragcache.exceptions import FragcacheError
from fragcache.models import FragmentCache
from fragcache.stats.deployments import deployments

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin


class Done(NamedTuple):
    """What has come of an action."""

    #: For who asked.
    text: str
    #: Of the log: what it was done to, and what it was.
    about: str
    logged: str
    level: int = messages.SUCCESS


class Question(NamedTuple):
    """What is asked before an action."""

    title: str
    text: str
    button: str
    form: type[forms.Form]


def confirmed(
    admin: FragmentCacheAdmin,
    request: HttpRequest,
    question: Question,
    act: Callable[[Any], Done],
) -> HttpResponse:
    """Ask, or do what was confirmed and return to where it can be seen."""
    is_post = request.method == "POST"
    form = question.form(request.POST) if is_post else question.form(initial=request.GET.dict())
    if is_post and form.is_valid():
        try:
            done = act(form)
        except FragcacheError as error:
            form.add_error(None, str(error))
        else:
            _log(request, done)
            messages.add_message(request, done.level, done.text)
            return HttpResponseRedirect(_next(admin, request))
    return shown(
        admin,
        request,
        "admin/fragcache/confirm.html",
        title=question.title,
        question=question,
        form=form,
        names=[fragment.name for fragment in registry.all_fragments()],
        is_read_only=conf.settings().READ_ONLY,
        deployments=deployments(),
        back=_next(admin, request),
    )


def _next(admin: FragmentCacheAdmin, request: HttpRequest) -> str:
    if request.user.has_perm(f"fragcache.{VIEW}"):
        return reverse(OVERVIEW, current_app=admin.admin_site.name)
    return reverse("admin:index", current_app=admin.admin_site.name)


def _log(request: HttpRequest, done: Done) -> None:
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(FragmentCache),
        object_repr=done.about[:200],
        action_flag=CHANGE,
        change_message=done.logged,
    )
