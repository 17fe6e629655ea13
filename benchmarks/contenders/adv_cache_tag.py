"""django-adv-cache-tag: a ``{% cache %}`` that is a class to derive from."""

from __future__ import annotations

from django.apps import apps

from benchmarks.contenders.templates import BACKENDS, row
from benchmarks.rows import Row
from benchmarks.servers import Stand

# Its ``using=`` takes the alias as it stands, without quotes.
PAGE = (
    "{% load adv_cache %}{% for card in cards %}"
    "{% cache 3600 adv_card card.pk card.updated_at using=BACKEND %}"
    "{% include 'cards/card.html' %}{% endcache %}{% endfor %}"
)


def rows(server: Stand) -> list[Row]:
    """Return its tag on each of the server's backends, with its settings as they come."""
    if not apps.is_installed("adv_cache_tag"):
        return []
    return [
        row(f"adv-{name}", f"adv-cache-tag, {BACKENDS[name]}", PAGE.replace("BACKEND", name))
        for name in server.backends
    ]
