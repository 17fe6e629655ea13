"""A site with Django's admin, which no other test has, and who may look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as site
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, override_settings
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
    """The site with Django's admin, for the tests of a module."""
    with django_db_blocker.unblock(), site_with_admin():
        yield


@contextmanager
def site_with_admin(**changes: Any) -> Iterator[None]:
    """What happens in here happens on a site with Django's admin, with further settings."""
    [engine, *others] = [dict(engine) for engine in site.TEMPLATES]
    options = engine["OPTIONS"]
    messages = "django.contrib.messages.context_processors.messages"
    engine["OPTIONS"] = options | {"context_processors": [*options["context_processors"], messages]}
    added = [f"django.contrib.{name}" for name in ("admin", "sessions", "messages", "staticfiles")]
    settings = {
        "INSTALLED_APPS": [*site.INSTALLED_APPS, *added],
        "MIDDLEWARE": MIDDLEWARE,
        "TEMPLATES": [engine, *others],
        "ROOT_URLCONF": URLs(),
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    }
    with override_settings(**{**settings, **changes}):
        log = apps.get_model("admin", "LogEntry")
        with connection.schema_editor() as editor:
            editor.create_model(log)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(log)


def client_of(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


@pytest.fixture
def superuser() -> Client:
    return client_of(User.objects.create_superuser("root"))


def staff(*permissions: str, **options: Any) -> Client:
    """Return one of the staff with no more than these permissions."""
    user = User.objects.create_user(f"clerk{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    return client_of(user, **options)
