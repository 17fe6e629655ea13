"""Settings of the benchmarks: one alias per server for fragcache, and one for Django's backend."""

from __future__ import annotations

import os
from pathlib import Path

REDIS_URL = os.environ["FRAGCACHE_TEST_REDIS_URL"]
MEMCACHED = os.environ["FRAGCACHE_TEST_MEMCACHED"]

SECRET_KEY = "the-benchmarks-sign-with-this"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "fragcache", "benchmarks.cards"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"]) / "cards.sqlite3",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL},
    "django-redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    },
    "django-memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": MEMCACHED,
        "OPTIONS": {"no_delay": True},
    },
    "redis": {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": REDIS_URL},
    "memcached": {
        "BACKEND": "fragcache.backends.memcached.MemcachedCache",
        "LOCATION": MEMCACHED,
    },
}
FRAGCACHE = {"CACHE_ALIAS": "redis"}
