"""Settings of the tests; the addresses come from tests/plugin.py by the environment."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).parent
DIRECTORY = Path(os.environ.get("FRAGCACHE_TEST_DIRECTORY") or tempfile.gettempdir())
REDIS_URL = os.environ.get("FRAGCACHE_TEST_REDIS_URL")
MEMCACHED = os.environ.get("FRAGCACHE_TEST_MEMCACHED")
POSTGRES_URL = os.environ.get("FRAGCACHE_TEST_POSTGRES_URL")
if os.environ.get("FRAGCACHE_TEST_DB") == "sqlite":
    POSTGRES_URL = None


def database_at(url: str) -> dict[str, Any]:
    """Return the entry of DATABASES for postgres://user:password@host:port/name, or mysql://..."""
    parts = urlsplit(url)
    vendor = "postgresql" if parts.scheme.startswith("postgres") else parts.scheme
    return {
        "ENGINE": f"django.db.backends.{vendor}",
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "NAME": unquote(parts.path.removeprefix("/")),
    }


SECRET_KEY = "the-tests-sign-with-this-and-nothing-else-does"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
SITE_ID = 1
#: Their versions are plain times; commands would say so each time.
SILENCED_SYSTEM_CHECKS = ["fragcache.W005"]
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sites",
    "fragcache",
    "tests.library",
    "tests.studio",
    "tests.discography",
]

if importlib.util.find_spec("simple_history"):
    INSTALLED_APPS += ["simple_history", "tests.chronicle"]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
        },
    },
]
if importlib.util.find_spec("jinja2"):
    TEMPLATES.append(
        {
            "BACKEND": "django.template.backends.jinja2.Jinja2",
            "NAME": "jinja2",
            "DIRS": [HERE / "jinja2"],
        }
    )

DATABASES: dict[str, dict[str, Any]] = {
    "default": database_at(POSTGRES_URL)
    if POSTGRES_URL
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    # For tests of two databases; and for those that are to hold on SQLite as well.
    "second": {"ENGINE": "tests.second_database", "NAME": ":memory:"},
}

CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "default",
    },
    "locmem": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "locmem",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    },
    "database": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "fragcache_test_cache",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    },
    "embedded": {
        "BACKEND": "fragcache.backends.embedded.EmbeddedCache",
        "LOCATION": str(DIRECTORY / f"embedded-{os.getpid()}"),
    },
}
# A machine that stands still for a moment is no outage; tests of those have servers of their own.
PATIENCE = 15
if MEMCACHED:
    CACHES["memcached"] = {
        "BACKEND": "fragcache.backends.memcached.MemcachedCache",
        "LOCATION": MEMCACHED,
        "OPTIONS": {"timeout": PATIENCE, "connect_timeout": PATIENCE},
    }
if REDIS_URL:
    CACHES["redis"] = {
        "BACKEND": "fragcache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"SOCKET_TIMEOUT": PATIENCE, "SOCKET_CONNECT_TIMEOUT": PATIENCE},
    }
CACHES["fragments"] = CACHES["redis"] if REDIS_URL else CACHES["embedded"]
