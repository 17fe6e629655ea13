"""Requests: what a render gives while one is under way, behind the project's middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.utils import timezone, translation
from django.utils.module_loading import import_string

_AUTHENTICATION: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"

GetResponse = Callable[[HttpRequest], Any]


def usual() -> HttpRequest:
    """Return the request of a visitor."""
    return RequestFactory().get("/")


def unlike() -> HttpRequest:
    """Return one that differs in scheme, host, path, query, cookies and headers."""
    headers = {
        "host": "other.example",
        "accept-language": "fr",
        "cookie": "theme=dark",
        "user-agent": "Mobile",
        "x-requested-with": "XMLHttpRequest",
        "x-forwarded-for": "192.0.2.1",
    }
    return RequestFactory().get("/elsewhere/", {"page": "2"}, secure=True, headers=headers)


def output_within(
    request: HttpRequest, render: Callable[[], str], *, with_user: bool
) -> str | None:
    """Return what ``render`` gives behind the middleware; None where the middleware answers itself.

    ``with_user`` makes a user who is logged in, and not saved, the request's, where the project
    has authentication.
    """
    outputs: list[str] = []
    errors: list[Exception] = []

    def respond(_request: HttpRequest) -> HttpResponse:
        try:
            outputs.append(render())
        except Exception as error:
            errors.append(error)
            raise
        return HttpResponse()

    here = translation.get_language(), timezone.get_current_timezone()
    with (
        override_settings(ALLOWED_HOSTS=["*"]),
        translation.override(here[0]),  # what a middleware activates stays after it
        timezone.override(here[1]),
    ):
        try:
            _chain(respond, with_user=with_user)(request)
        except Exception:
            if errors:
                raise
            # Else a middleware's answer, such as Http404 for a host that it does not know.
    return outputs[0] if outputs else None


def _chain(respond: GetResponse, *, with_user: bool) -> GetResponse:
    chain = respond
    for path in reversed(settings.MIDDLEWARE):
        factory = import_string(path)
        if not getattr(factory, "sync_capable", True):
            continue
        if with_user and path == _AUTHENTICATION:
            chain = _logged_in(chain)
        try:
            chain = factory(chain)
        except MiddlewareNotUsed:
            continue
    return chain


def _logged_in(respond: GetResponse) -> GetResponse:
    model = get_user_model()

    def respond_to_user(request: HttpRequest) -> Any:
        request.user = model(**{model.USERNAME_FIELD: "fragcache-visitor"})
        return respond(request)

    return respond_to_user
