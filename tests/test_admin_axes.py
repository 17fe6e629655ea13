"""The admin's page of an instance where axes are many, fail, or are not this site's."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import pytest

from fragcache import manifest, registry
from fragcache.axes import Axis
from fragcache.exceptions import CacheUnavailable
from fragcache.store import store
from tests.admin_pages import address, text_of
from tests.admin_site import staff
from tests.fixtures import any_cache

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_site"), any_cache]


def look(page: str = "instance", **query: str) -> Any:
    return staff("view_fragmentcache").get(address(page, **query))


class Tenants(Axis):
    """An axis of a site with more tenants than anybody would choose from."""

    name = "tenant"

    def current(self, request: Any) -> str:
        return "t7"

    def values(self) -> list[str]:
        return [f"t{number}" for number in range(20_000)]

    def activate(self, value: str) -> Any:
        return nullcontext()


class AwayTenants(Tenants):
    """One whose values are in a table that is away."""

    def values(self) -> list[str]:
        raise LookupError("the tenants are away")


class NoTenant(Tenants):
    """One that knows no value for the admin's own host."""

    def current(self, request: Any) -> str:
        raise LookupError("no tenant here")


@pytest.fixture
def use(cache_alias: str, settings: Any, declare: Any, templates: Any) -> Any:
    """Declare a fragment that varies on an axis of the site's own."""

    def use(kind: type[Axis]) -> None:
        settings.FRAGCACHE |= {"AXES": [f"{__name__}.{kind.__name__}"]}
        templates({"x.html": "x"})
        declare("x.html", name="library.rented", vary_on=["tenant"])(lambda word: {})

    return use


@pytest.mark.parametrize("kind", [AwayTenants, NoTenant])
def test_one_that_fails_is_told_once_and_breaks_no_page(
    use: Any, kind: type[Axis], caplog: pytest.LogCaptureFixture
) -> None:
    use(kind)
    answer = look(fragment="library.rented", arguments="x")
    [error] = answer.context["form"].non_field_errors()
    assert re.fullmatch(
        "The code of the axis tenant has failed: LookupError: .* (away|here)", error
    )
    assert "The code of the axis tenant has failed." in caplog.text
    assert look("preview", fragment="library.rented", arguments="x").status_code == 404


def test_one_that_this_site_does_not_have_is_told(use: Any, settings: Any) -> None:
    """As on a target, which knows the axes of the source by name."""
    use(Tenants)
    manifest.publish(store(), [registry.get("library.rented")])
    registry.remove("library.rented")
    settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": []}
    answer = look(fragment="library.rented", arguments="x")
    assert "'tenant' is not an axis." in " ".join(answer.context["form"].non_field_errors())


def test_of_many_values_one_is_written(use: Any) -> None:
    use(Tenants)
    query = {"fragment": "library.rented", "arguments": "x"}
    page = look(**query)
    assert 'type="text" name="axis_tenant" value="t7"' in page.content.decode()
    assert page.context["explanation"] is not None
    wrong = text_of(look(**query, axis_tenant="nobody"))
    assert "it is none of its 20,000 values, such as t0, t1, t2." in wrong


def test_a_silent_cache_is_asked_for_a_name_once(
    cache_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def find(_cache: Any, name: str) -> None:
        asked.append(name)
        raise CacheUnavailable("no answer")

    monkeypatch.setattr(manifest, "find", find)
    assert "no answer" in text_of(look(fragment="library.far", arguments="x"))
    assert asked == ["library.far"]
