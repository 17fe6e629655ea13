"""Pages of Jinja2 with the extension, for the tests of its functions and of its block tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.core import mail
from django.template import engines

EXTENSION = "fragcache.contrib.jinja2.FragcacheExtension"

Jinja = Callable[..., None]


@pytest.fixture
def jinja(settings: Any, templates: Any) -> Jinja:
    """A function that adds Jinja2 templates by name, and changes options of their engine."""
    from jinja2 import DictLoader

    sources: dict[str, str] = {}

    def add(added: Mapping[str, str] | None = None, **options: Any) -> None:
        sources.update(added or {})
        engine = {
            "BACKEND": "django.template.backends.jinja2.Jinja2",
            "NAME": "jinja2",
            "OPTIONS": {
                "loader": DictLoader(dict(sources)),
                "extensions": [EXTENSION],
                **options,
            },
        }
        settings.TEMPLATES = [settings.TEMPLATES[0], engine]

    templates({})
    add()
    return add


@pytest.fixture
def in_production(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = False
    monkeypatch.delattr(mail, "outbox")


def page(source: str, request: Any = None, **context: Any) -> str:
    """Return a page without a name as it is rendered."""
    return str(engines["jinja2"].from_string(source).render(context, request))


def named(name: str, request: Any = None, **context: Any) -> str:
    """Return a page of a loader as it is rendered."""
    return str(engines["jinja2"].get_template(name).render(context, request))
