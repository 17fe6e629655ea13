"""The HTTP interface of a source: ``path("fragments/", include("fragcache.urls"))``."""

from __future__ import annotations

from django.urls import path

from fragcache.monitoring.views import health
from fragcache.views import context

app_name = "fragcache"

urlpatterns = [
    path("context/", context, name="context"),
    path("health/", health, name="health"),
]
