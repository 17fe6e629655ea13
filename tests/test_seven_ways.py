"""The seven ways of docs/cache-tag.md: how Django's ``{% cache %}`` leaks, and ours does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.core.cache import cache
from django.template import Context, Engine
from django.utils import translation

from fragcache import Leak, UndefinedArgument

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]
DJANGO, OURS = "django.templatetags.cache", "fragcache.templatetags.fragcache"

Show = Callable[..., str]


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Show:
    """What a template shows with the library that the test names."""
    cache.clear()
    engines: dict[str, Engine] = {}

    def show(library: str, source: str, name: str = "page.html", **context: Any) -> str:
        loaders = [("django.template.loaders.locmem.Loader", {name: "{% load cache %}" + source})]
        engine = engines[name + source] = Engine(libraries={"cache": library}, loaders=loaders)
        return engine.get_template(name).render(Context(context))

    return show


class Content:
    def __init__(self, identity: str) -> None:
        self.identity = identity

    def fragment_identity(self) -> str:
        return self.identity

    def __str__(self) -> str:
        return "a title"


def test_a_name_that_was_used_twice(show: Show) -> None:
    def pages(library: str) -> list[str]:
        return [
            show(library, "{% cache 600 menu %}" + text + "{% endcache %}", f"{text}.html")
            for text in ("shop", "blog")
        ]

    assert pages(DJANGO) == ["shop", "shop"]
    assert pages(OURS) == ["shop", "blog"]


def test_a_misspelled_variable(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "{% cache 600 cart usr.pk %}{{ cart }}{% endcache %}"

    def pages(library: str) -> list[str]:
        return [show(library, source, user={"pk": n}, cart=f"cart {n}") for n in (1, 2)]

    assert pages(DJANGO) == ["cart 1", "cart 1"]
    with pytest.raises(UndefinedArgument):
        pages(OURS)
    monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
    assert pages(OURS) == ["cart 1", "cart 2"]


def test_a_visitor_s_data_without_a_value(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "{% cache 600 nav %}Hello {{ user }}{% endcache %}"

    def pages(library: str) -> list[str]:
        return [show(library, source, user=user) for user in ("Ann", "Bob")]

    assert pages(DJANGO) == ["Hello Ann", "Hello Ann"]
    with pytest.raises(Leak):
        pages(OURS)
    monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
    assert pages(OURS) == ["Hello Ann", "Hello Bob"]


@pytest.mark.parametrize("name", ["csrf_token", "csp_nonce"])
def test_tokens_and_nonces(show: Show, name: str) -> None:
    source = "{% cache 600 form %}{{ " + name + " }}{% endcache %}"

    def pages(library: str) -> list[str]:
        return [show(library, source, **{name: value}) for value in ("first", "second")]

    assert pages(DJANGO) == ["first", "first"]
    assert pages(OURS) == ["first", "second"]


def test_a_language(show: Show) -> None:
    source = "{% cache 600 price %}{{ price }}{% endcache %}"

    def pages(library: str) -> list[str]:
        found = []
        for language in ("en", "de"):
            with translation.override(language):
                found.append(show(library, source, price=1234.5))
        return found

    assert pages(DJANGO) == ["1234.5", "1234.5"]
    assert pages(OURS) == ["1234.5", "1234,5"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((None, 0), ("None", 0)),
        ((1, 0), ("1", 0)),
        ((Content("text 5"), 0), (Content("image 5"), 0)),
        pytest.param(
            ("a:", "b"),
            ("a", ":b"),
            marks=pytest.mark.skipif(django.VERSION >= (6, 0), reason="not so any more"),
        ),
    ],
)
def test_values_that_look_alike(show: Show, first: Any, second: Any) -> None:
    source = "{% cache 600 text a b %}{{ n }}{% endcache %}"

    def pages(library: str) -> list[str]:
        return [show(library, source, a=a, b=b, n=n) for n, (a, b) in enumerate([first, second])]

    assert pages(DJANGO) == ["0", "0"]
    assert pages(OURS) == ["0", "1"]


def test_a_release(show: Show) -> None:
    def pages(library: str) -> list[str]:
        return [
            show(library, "{% cache 600 menu %}" + text + "{% endcache %}")
            for text in ("old", "new")
        ]

    assert pages(DJANGO) == ["old", "old"]
    assert pages(OURS) == ["old", "new"]
