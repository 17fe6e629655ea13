"""Promise X1: no pickle is ever loaded, wherever it lies among what a site has stored."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

import fragcache
from fragcache.checks.caches import check_caches
from fragcache.events import Event
from tests import unpickling
from tests.fixtures import any_cache, happened, without_local_cache
from tests.pages import SERVERS, SHARED
from tests.sealed_site import (
    MARKS,
    SHOWN,
    SHOWN_ON_TARGET,
    Bomb,
    Site,
    as_bytes,
    by_django,
    kinds,
)

pytestmark = [pytest.mark.django_db, without_local_cache]
on_servers = pytest.mark.parametrize("cache_alias", SERVERS, indirect=True)
shared = pytest.mark.parametrize("cache_alias", SHARED, indirect=True)
ALL = {"entry", *MARKS}
#: Modules that load what may run code, and what they call that.
LOADERS = {"pickle", "_pickle", "marshal", "shelve", "dill", "multiprocessing.reduction"}
LOADING = {"load", "loads", "Unpickler"}
#: Caches that pickle, and the server that they are on.
THEIRS = {
    "Django's Redis": ("django.core.cache.backends.redis.RedisCache", "redis"),
    "django-redis": ("django_redis.cache.RedisCache", "redis"),
    "Memcached": ("django.core.cache.backends.memcached.PyMemcacheCache", "memcached"),
    "files": ("django.core.cache.backends.filebased.FileBasedCache", None),
}


class TestPickles:
    """X1: no pickle is ever loaded on a fragment alias."""

    @on_servers
    def test_of_django_under_every_key_are_misses(self, cache_alias: str, site: Site) -> None:
        self.check(site, by_django(cache_alias))

    @shared
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_as_bytes_under_every_key_are_misses(
        self, cache_alias: str, site: Site, protocol: int
    ) -> None:
        self.check(site, as_bytes(cache_alias, Bomb(), protocol))

    @shared
    def test_that_run_nothing_are_misses_too(self, cache_alias: str, site: Site) -> None:
        self.check(site, as_bytes(cache_alias, b"<b>Eve</b>", 5))

    def check(self, site: Site, put: Any) -> None:
        """Poison what a site will ask for, and then what it has stored."""
        first = site.live()
        assert first == [*SHOWN, *SHOWN_ON_TARGET]
        assert set(kinds(site.keys)) == ALL
        for keys in (site.keys, set(site.stored())):
            assert len(keys) > 15
            put(keys)
            assert site.visit_target() == [None, None]
            assert site.live() == first
            assert site.live() == first
        assert happened(Event.UNBELIEVED) > 0
        assert Bomb.exploded == 0

    @any_cache
    @pytest.mark.parametrize("kind", list(THEIRS))
    def test_of_a_cache_that_pickles_run_what_they_like(
        self, cache_alias: str, kind: str, site: Site, settings: Any, tmp_path: Path
    ) -> None:
        """4 of 4, which is why that is an error of `manage.py check`; and the guard sees it."""
        path, server = THEIRS[kind]
        location = settings.CACHES[server]["LOCATION"] if server else str(tmp_path)
        own = {"BACKEND": path, "LOCATION": location}
        settings.CACHES = {**settings.CACHES, "special": own}
        settings.FRAGCACHE = {**settings.FRAGCACHE, "CACHE_ALIAS": "special"}
        caches["special"].clear()
        site.visit()
        assert check_ids() == ["fragcache.E007"]

        caches["special"].set_many(dict.fromkeys(site.keys, Bomb()), 60)
        with unpickling.allowed():
            assert site.visit() == SHOWN
        assert Bomb.exploded > 0

        Bomb.exploded = 0
        settings.FRAGCACHE = dict(settings.FRAGCACHE)  # with a guard that is closed
        caches["special"].set_many(dict.fromkeys(site.keys, Bomb()), 60)
        assert site.visit() == SHOWN
        assert Bomb.exploded == 0
        assert {found.partition(",")[0] for found in unpickling.taken()} == {
            "pickle.find_class of tests.sealed_site.explode"
        }


def test_no_module_of_the_package_loads_a_pickle() -> None:
    """But for a worker, which is told by its parent process; the errors of others may be named."""
    package = Path(fragcache.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                found |= {(path.relative_to(package).as_posix(), x) for x in names & LOADERS}
            elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in LOADERS:
                assert node.attr not in LOADING, (path, node.lineno)
    assert found == {
        ("backends/generic.py", "pickle"),
        ("testing/backends.py", "pickle"),
        ("warming/worker.py", "multiprocessing.reduction"),
    }


def check_ids() -> list[str | None]:
    return [message.id for message in check_caches() if message.id != "fragcache.W002"]
