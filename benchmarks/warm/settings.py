"""Settings of one combination: the servers that run say which. Peers that wrap queries stay out."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from benchmarks.settings import (
    CACHES,
    DATABASES,
    DEFAULT_AUTO_FIELD,
    MEMCACHED,
    SECRET_KEY,
    TEMPLATES,
    USE_TZ,
)

POSTGRESQL = os.environ.get("FRAGCACHE_BENCHMARK_POSTGRESQL")

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "fragcache",
    "benchmarks.cards",
    "benchmarks.warm.notes",
]
if POSTGRESQL:
    _parts = urlsplit(POSTGRESQL)
    DATABASES["default"] |= {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _parts.hostname,
        "PORT": _parts.port,
        "USER": _parts.username,
        # The one that every server has.
        "NAME": "postgres",
    }
FRAGCACHE = {"CACHE_ALIAS": "fragcache-memcached" if MEMCACHED else "fragcache-redis"}

__all__ = [
    "CACHES",
    "DATABASES",
    "DEFAULT_AUTO_FIELD",
    "FRAGCACHE",
    "INSTALLED_APPS",
    "SECRET_KEY",
    "TEMPLATES",
    "USE_TZ",
]
