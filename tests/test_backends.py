"""Each backend behaves as `BackendBehaviour` says, on real servers; so do caches of others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection

from fragcache.backends import FragmentBackend
from fragcache.testing import BackendBehaviour
from tests.settings import MEMCACHED, REDIS_URL

FOREIGN: dict[str, dict[str, Any]] = {
    "django's redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    },
    "django-redis": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL},
    "django's memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": MEMCACHED,
    },
}


@pytest.mark.server("redis")
class TestRedis(BackendBehaviour):
    alias = "redis"


@pytest.mark.server("memcached")
class TestMemcached(BackendBehaviour):
    alias = "memcached"


class TestEmbedded(BackendBehaviour):
    alias = "embedded"


class TestLocMem(BackendBehaviour):
    alias = "locmem"


class Extended(FragmentBackend, LocMemCache):
    """All that a cache of a third party has to do to be a backend of fragments."""

    shared = False


class TestExtended(BackendBehaviour):
    alias = "extended"

    @pytest.fixture(autouse=True)
    def extended(self, settings: Any) -> None:
        backend = f"{__name__}.{Extended.__name__}"
        options = {"MAX_ENTRIES": 1_000_000}
        settings.CACHES = settings.CACHES | {
            "extended": {"BACKEND": backend, "LOCATION": "extended", "OPTIONS": options}
        }


@pytest.mark.django_db
class TestDatabase(BackendBehaviour):
    alias = "database"
    threads = False
    forks = False

    @pytest.fixture(autouse=True)
    def table(self, db: None) -> Iterator[None]:
        call_command("createcachetable", verbosity=0)
        yield
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE fragcache_test_cache")


class Foreign(BackendBehaviour):
    """A cache that fragcache has no backend for, on a server."""

    @pytest.fixture(autouse=True)
    def foreign(self, settings: Any) -> None:
        settings.CACHES = settings.CACHES | FOREIGN


@pytest.mark.server("redis")
class TestDjangosRedis(Foreign):
    alias = "django's redis"


@pytest.mark.server("redis")
class TestDjangoRedis(Foreign):
    alias = "django-redis"


@pytest.mark.server("memcached")
class TestDjangosMemcached(Foreign):
    alias = "django's memcached"
    # A child that inherits the connection steals the parent's replies.
    forks = False


@pytest.mark.parametrize(
    ("package", "module", "extra"),
    [
        ("django_redis", "fragcache.backends.redis", r"pip install fragcache\[redis\]"),
        ("pymemcache", "fragcache.backends.memcached", r"pip install fragcache\[memcached\]"),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImproperlyConfigured, match=extra):
        __import__(module)


def test_the_package_of_backends_needs_no_client() -> None:
    code = (
        "import sys, fragcache.backends;"
        "assert not {'redis', 'django_redis', 'pymemcache'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
