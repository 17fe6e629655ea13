"""A site with nothing but the admin, which the tests of its pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as site
from django.db import connection
from django.test import override_settings
from django.urls import include, path

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]


class URLs:
    """A site with nothing but the admin; made late, as the admin is not installed before."""

    @property
    def urlpatterns(self) -> list[Any]:
        from django.contrib import admin

        return [path("admin/", admin.site.urls), path("", include("tests.urls"))]


@pytest.fixture(scope="module")
def admin_site(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The site with Django's admin, which no other test has."""
    [engine, *others] = [dict(engine) for engine in site.TEMPLATES]
    options = engine["OPTIONS"]
    messages = "django.contrib.messages.context_processors.messages"
    engine["OPTIONS"] = options | {"context_processors": [*options["context_processors"], messages]}
    added = [f"django.contrib.{name}" for name in ("admin", "sessions", "messages")]
    with override_settings(
        INSTALLED_APPS=[*site.INSTALLED_APPS, *added],
        MIDDLEWARE=MIDDLEWARE,
        TEMPLATES=[engine, *others],
        ROOT_URLCONF=URLs(),
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ):
        log = apps.get_model("admin", "LogEntry")
        with django_db_blocker.unblock():
            with connection.schema_editor() as editor:
                editor.create_model(log)
            yield
            with connection.schema_editor() as editor:
                editor.delete_model(log)
