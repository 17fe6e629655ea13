"""Settings of a user's site: its tests use the cache that the environment names."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "the-press-signs-with-this"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.press.urls"
INSTALLED_APPS = ["fragcache", "tests.press"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CACHES: dict[str, dict[str, Any]] = {
    # A server that is not there: the tests must not need the one of production.
    "fragments": {
        "BACKEND": "fragcache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
    },
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
if server := os.environ.get("PRESS_SERVER"):
    backend = "redis.RedisCache" if server.startswith("redis") else "memcached.MemcachedCache"
    CACHES["server"] = {"BACKEND": f"fragcache.backends.{backend}", "LOCATION": server}
FRAGCACHE = {"TIMEOUT": 600}
SILENCED_SYSTEM_CHECKS = ["fragcache.E006", "fragcache.E007"]
