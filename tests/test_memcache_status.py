"""django-memcache-status on the admin's index: through our backend, whichever servers are dead."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from tests.admin_pages import text_of
from tests.admin_site import staff

pytest.importorskip("memcache_status")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_site")]


@pytest.fixture
def location(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets the site up as docs/admin.md says, with servers at a location."""
    from django.contrib import admin

    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "memcache_status"]
    monkeypatch.setattr(admin.site, "index_template", "memcache_status/admin_index.html")

    def use(*servers: str) -> None:
        cache = {"BACKEND": "fragcache.backends.memcached.MemcachedCache", "LOCATION": servers}
        settings.CACHES = {**settings.CACHES, "fragments": cache}

    return use


@pytest.fixture
def index(superuser: Client) -> Any:
    """A function that returns what the index says to who may see everything."""

    def look() -> str:
        answer = superuser.get("/admin/")
        assert answer.status_code == 200
        return text_of(answer)

    return look


def test_a_live_server_is_shown_with_its_figures(
    location: Any, index: Any, memcached_address: str
) -> None:
    location(memcached_address)
    said = index()
    assert re.search(rf"fragments &mdash; {memcached_address} &mdash; \d+% load", said)
    for figure in ("Miss Ratio", "Curr Items", "Limit Maxbytes", "Version 1."):
        assert figure in said


def test_a_dead_server_is_no_error_of_the_index(
    location: Any, index: Any, memcached_address: str
) -> None:
    location("127.0.0.1:1", memcached_address)
    said = index()
    assert "127.0.0.1:1 &mdash; % load" in said or "127.0.0.1:1 &mdash; 0% load" in said
    assert "Error Connection" in said
    assert re.search(rf"{memcached_address} &mdash; \d+% load", said)


def test_all_kinds_of_caches_may_stand_beside_it(
    location: Any, index: Any, memcached_address: str, redis_url: str
) -> None:
    """It asks every alias: the tests have Redis, an embedded one and those of Django."""
    location(memcached_address)
    assert index().count("% load") == 2, "fragments, and the tests' own alias"


def test_staff_who_are_no_superusers_see_the_index_without_it(
    location: Any, memcached_address: str
) -> None:
    location(memcached_address)
    answer = staff("view_fragmentcache").get("/admin/")
    assert answer.status_code == 200
    assert memcached_address not in answer.content.decode()
