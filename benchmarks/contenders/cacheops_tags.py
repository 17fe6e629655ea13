"""django-cacheops: ``{% cached_as %}``, which a saved object invalidates, and ``{% cached %}``."""

from __future__ import annotations

import inspect

from django.apps import apps

from benchmarks.contenders.templates import row
from benchmarks.rows import Row
from benchmarks.servers import Stand

LOOP = "{% load cacheops %}{% for card in cards %}TAG{% endfor %}"
CACHED_AS = "{% cached_as card 3600 'card' %}{% include 'cards/card.html' %}{% endcached_as %}"
CACHED = (
    "{% cached 3600 'card' card.pk card.updated_at %}{% include 'cards/card.html' %}{% endcached %}"
)


def rows(server: Stand) -> list[Row]:
    """Return its two tags on Redis, the only server it knows."""
    if server.name != "redis" or not apps.is_installed("cacheops"):
        return []
    _let_tags_compile()
    return [
        row("cacheops-cached-as", "cacheops `{% cached_as %}`", LOOP.replace("TAG", CACHED_AS)),
        row("cacheops-cached", "cacheops `{% cached %}`", LOOP.replace("TAG", CACHED)),
    ]


def _let_tags_compile() -> None:
    # cacheops 7.2 passes the ``takes_context`` that Django 6.1 took out of parse_bits().
    from cacheops.templatetags import cacheops as tags
    from django.template.library import parse_bits

    if "takes_context" not in inspect.signature(parse_bits).parameters:
        tags.parse_bits = lambda *args: parse_bits(*args[:8], *args[9:])
