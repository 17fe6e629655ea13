"""A site in two releases, run in one process: what digests are compared of."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from django.test import override_settings

from fragcache import Fragment, registry
from fragcache.digests import digest_of
from fragcache.rendering import render_many

PAGE = """{% extends 'base.html' %}{% load shop_tags fragcache %}{% block main %}
{% include 'part.html' %}{% if never %}{% include 'none.html' %}{% endif %}
{% for name in names %}{% if name|shout == 'A' %}{{ name|lower|spread:5 }}{% endif %}{% endfor %}
{% badge name %}{% stars 5 as stars %}{% stamp %}inside{% endstamp %}
{% fragment 'shop.inner' name %}{% fragments 'shop.listed' names %}{% endblock %}"""

TAGS = """
import functools
from django import template
from django.template.defaultfilters import stringfilter

register = template.Library()
STAR = "*"

@register.filter
@stringfilter
def shout(text):
    return text.upper()

@register.filter
@functools.lru_cache
def spread(text, width):
    return text.center(width)

@register.inclusion_tag("badge.html")
def badge(name):
    return {"name": name.strip()}

@register.simple_tag
def stars(number):
    return STAR * number

class StampNode(template.Node):
    def __init__(self, nodelist):
        self.nodelist = nodelist

    def render(self, context):
        return f"<p>{self.nodelist.render(context)}</p>"

@register.tag
def stamp(parser, token):
    nodelist = parser.parse(["endstamp"])
    parser.delete_first_token()
    return StampNode(nodelist)

def unrelated():
    return 1
"""

CODE = """
import functools
from decimal import Decimal
from django.utils.translation import gettext_lazy, ngettext_lazy
from fragcache import Fragment, fragment, register

RATE = Decimal("1.20")
KINDS = {"old", "new", "used", "rare"}
LABELS = {"title": gettext_lazy("Title"), "many": ngettext_lazy("%d hit", "%d hits")}
seen = {}
first = lambda name: name + "1"
second = lambda name: name + "2"

def decorated(function):
    @functools.wraps(function)
    def inner(*args):
        return {"logged": True, **function(*args)}
    return inner

@functools.lru_cache
def discount(price):
    return price - 5

def logged(function):
    return lambda *args: function(*args)

@logged
def rounded(price):
    return price // 2

def helper(name):
    return deeper(name), discount(7), rounded(7)

def deeper(name):
    return first(name) + second(name)

class Bag:
    def label(self):
        return "a bag"

class Basket(Bag):
    size = 3
    cache = {}

    @property
    def total(self):
        return self.size * 2

    @staticmethod
    def empty():
        return 0

def stamp(name="x"):
    return 1

@fragment("page.html", name="shop.page", version=stamp)
@decorated
def page(name="x"):
    seen[name] = KINDS
    return {"name": helper(name), "rate": RATE, "label": LABELS, "basket": Basket()}

@fragment("inner.html", name="shop.inner")
def inner(name):
    return {"name": name}

@register
class Listed(Fragment):
    name = "shop.listed"
    template_name = "listed.html"

    def get_contexts(self, items):
        return [{"item": item} for item in items]

def unrelated():
    return 1
"""


def nothing() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Release:
    """A site as one release of it is."""

    templates: Mapping[str, str]
    code: str = CODE
    tags: str = TAGS
    settings: Mapping[str, Any] = field(default_factory=dict)


RELEASE = Release(
    templates={
        "page.html": PAGE,
        "base.html": "{% extends 'root.html' %}",
        "root.html": "<main>{% block main %}{% endblock %}</main>",
        "part.html": "{% with a=b %}{% include 'nested.html' %}{% endwith %}",
        "nested.html": "nested",
        "badge.html": "<b>{{ name }}</b>",
        "inner.html": "<i>{{ name }}</i>",
        "listed.html": "{% include 'listed_part.html' %}",
        "listed_part.html": "<li>",
        "unrelated.html": "unrelated",
    }
)


def module(name: str, source: str) -> types.ModuleType:
    """Return a module as an import would have made it of ``source``."""
    made = types.ModuleType(name)
    with importable(made):
        exec(compile(source, f"{name}.py", "exec"), made.__dict__)
    return made


@contextmanager
def importable(made: types.ModuleType) -> Iterator[None]:
    sys.modules[made.__name__] = made
    try:
        yield
    finally:
        del sys.modules[made.__name__]


def template_settings(loaders: list[Any], **options: Any) -> list[dict[str, Any]]:
    return [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": loaders, **options},
        }
    ]


def cached(loader: Any) -> list[Any]:
    return [("django.template.loaders.cached.Loader", [loader])]


def locmem(templates: Mapping[str, str]) -> Any:
    return ("django.template.loaders.locmem.Loader", dict(templates))


@contextmanager
def deployed(release: Release) -> Iterator[None]:
    """Run a release in this process."""
    declared = dict(registry._fragments)
    with ExitStack() as stack:
        stack.enter_context(importable(module("shop_tags", release.tags)))
        stack.enter_context(
            override_settings(
                TEMPLATES=template_settings(
                    cached(locmem(release.templates)), libraries={"shop_tags": "shop_tags"}
                ),
                **release.settings,
            )
        )
        try:
            module("shop.fragments", release.code)
            yield
        finally:
            registry._fragments.clear()
            registry._fragments.update(declared)


def digest(release: Release) -> str:
    """Return the digest of the page as a process of that release computes it."""
    with deployed(release):
        return digest_of(registry.get("shop.page"))


def changed(release: Release, part: str, old: str, new: str) -> Release:
    if part in {"code", "tags"}:
        source = getattr(release, part)
        assert source.count(old) == 1
        return replace(release, **{part: source.replace(old, new)})
    source = release.templates.get(part, "")
    assert old in source
    return replace(release, templates={**release.templates, part: source.replace(old, new, 1)})


def html(fragment: Fragment) -> str:
    output = render_many(fragment, [()])[0]
    assert output is not None
    return output.html
