"""The metrics: ``path("fragments/metrics/", include("fragcache.contrib.prometheus.urls"))``."""

from __future__ import annotations

from django.urls import path

from fragcache.contrib.prometheus.views import metrics

app_name = "fragcache_prometheus"

urlpatterns = [path("", metrics, name="metrics")]
