"""Settings of the benchmarks: aliases of each server that was started, for fragcache and peers."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

#: Set by ``benchmarks.__main__``; a server that is not here has no aliases.
REDIS_URL = os.environ.get("FRAGCACHE_BENCHMARK_REDIS")
MEMCACHED = os.environ.get("FRAGCACHE_BENCHMARK_MEMCACHED")

SECRET_KEY = "the-benchmarks-sign-with-this"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "fragcache", "benchmarks.cards"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"]) / "cards.sqlite3",
        # Sites that look at milliseconds keep their connections.
        "CONN_MAX_AGE": None,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]


def _locmem(name: str) -> dict[str, Any]:
    return {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": name,
        # As startproject leaves it, 300, a page of 301 cards never hits.
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }


def _alias(backend: str, location: str, prefix: str, **options: Any) -> dict[str, Any]:
    return {
        "BACKEND": backend,
        "LOCATION": location,
        "KEY_PREFIX": prefix,
        "OPTIONS": options,
    }


CACHES = {
    "default": _locmem("default"),
    "locmem": _locmem("peers"),
    "fragcache-locmem": _locmem("fragcache"),
}
# What was counted is nobody's when the tables are gone.
FRAGCACHE = {"CACHE_ALIAS": "fragcache-locmem", "STATS": "process"}
if REDIS_URL:
    CACHES |= {
        "redis": _alias("django.core.cache.backends.redis.RedisCache", REDIS_URL, "django"),
        "django-redis": _alias("django_redis.cache.RedisCache", REDIS_URL, "django-redis"),
        "fragcache-redis": _alias("fragcache.backends.redis.RedisCache", REDIS_URL, "fragcache"),
    }
    if importlib.util.find_spec("cacheops"):
        INSTALLED_APPS.append("cacheops")
        CACHEOPS_REDIS = REDIS_URL
        # No queries are cached: what the benchmarks need of it are its tags.
        CACHEOPS = {"cards.card": {"ops": (), "timeout": 3600}}
if importlib.util.find_spec("adv_cache_tag"):
    INSTALLED_APPS.append("adv_cache_tag")
if MEMCACHED:
    CACHES |= {
        "pymemcache": _alias(
            "django.core.cache.backends.memcached.PyMemcacheCache",
            MEMCACHED,
            "django",
            no_delay=True,
        ),
        "fragcache-memcached": _alias(
            "fragcache.backends.memcached.MemcachedCache", MEMCACHED, "fragcache"
        ),
    }
