"""Of any site: ``path("fragments/health/", include("fragcache.monitoring.urls"))``."""

from __future__ import annotations

from django.urls import path

from fragcache.monitoring.views import health

app_name = "fragcache_monitoring"

urlpatterns = [path("", health, name="health")]
