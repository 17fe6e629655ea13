"""A KEY_FUNCTION that says another prefix for each tenant, as packages for tenants have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from fragcache import (
    Fragment,
    fetch_context,
    get_fragment,
    invalidate,
    manifest,
    publish_context,
)
from fragcache.bounded import Bounded
from fragcache.events import Event
from fragcache.keys import MAX_BYTES
from fragcache.store import _store, store
from tests.fixtures import any_cache, happened, in_request
from tests.library.models import Artist

pytestmark = pytest.mark.django_db
tenant = ContextVar("tenant", default="red")


def make_key(key: str, key_prefix: str, version: int) -> str:
    return f"{tenant.get()}:{key_prefix}:{version}:{key}"


@pytest.fixture
def tenants(cache_alias: str, settings: Any) -> Iterator[None]:
    alias = {**settings.CACHES[cache_alias], "KEY_FUNCTION": "tests.test_tenants.make_key"}
    settings.CACHES = {**settings.CACHES, cache_alias: alias}
    token = tenant.set("red")
    yield
    tenant.reset(token)


@pytest.fixture(params=["by version", "by head", "rows"])
def shown(
    request: pytest.FixtureRequest, tenants: None, declare: Any, templates: Any
) -> Callable[[], str]:
    """Return what a fragment shows, whose arguments and version are the same for all tenants."""
    templates({"x.html": "{{ tenant }}"})
    row = Artist.objects.create(name="Nina")
    options = {
        "by version": {"version": lambda _item: 1},
        "by head": {},
        "rows": {"items": Artist.objects.all, "version": "updated_at"},
    }[request.param]

    @declare("x.html", name="library.tenant", **options)
    def x(item: Any) -> dict[str, Any]:
        return {"tenant": tenant.get()}

    return lambda: get_fragment(x, row if request.param == "rows" else 1)


@any_cache
@pytest.mark.parametrize("is_one_page", [False, True])
def test_no_tenant_is_shown_what_another_one_was(
    cache_alias: str, shown: Callable[[], str], is_one_page: bool
) -> None:
    def visit(name: str) -> None:
        tenant.set(name)
        for _time in range(2):
            assert shown() == name

    visits = ("red", "blue", "red", "blue")
    if is_one_page:
        with in_request():
            for name in visits:
                visit(name)
    else:
        for name in visits:
            with in_request():
                visit(name)


@any_cache
def test_an_invalidation_is_one_tenants(
    cache_alias: str, tenants: None, greeting: Fragment
) -> None:
    for name in ("red", "blue"):
        tenant.set(name)
        get_fragment(greeting, "you")
    invalidate(greeting, "you")
    before = happened(Event.RENDERED)

    for name, rendered in (("red", 0), ("blue", 1), ("red", 1)):
        tenant.set(name)
        get_fragment(greeting, "you")
        assert happened(Event.RENDERED) == before + rendered


@any_cache
def test_a_key_is_cut_alike_whichever_tenant_was_met_first(
    cache_alias: str, tenants: None, greeting: Fragment
) -> None:
    """Else what one process invalidates stays in others, and Memcached refuses the key."""
    long_name, you = "t" * 90, "you" * 40
    for first in ("red", long_name):
        _store.cache_clear()  # as in another process
        tenant.set(first)
        get_fragment(greeting, you)
        tenant.set(long_name)
        get_fragment(greeting, you)
        assert len(store().physical_key("x" * store().room)) == MAX_BYTES
    before = happened(Event.RENDERED)
    get_fragment(greeting, you)
    assert happened(Event.RENDERED) == before


@any_cache
def test_what_is_remembered_of_manifests_does_not_grow_with_tenants(
    cache_alias: str, tenants: None, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered: Bounded[Any] = Bounded(8, lambda _known: 1)
    monkeypatch.setattr(manifest, "_remembered", remembered)

    @declare(name="library.plain", publish="context")
    def plain() -> dict[str, Any]:
        return {"tenant": tenant.get()}

    names = [f"tenant{number}" for number in range(12)]
    for name in names:
        tenant.set(name)
        publish_context(plain)
        assert manifest.find(store(), plain.name) is not None
    assert 0 < remembered.size <= 8
    for name in names:
        tenant.set(name)
        assert fetch_context(plain)["tenant"] == name
