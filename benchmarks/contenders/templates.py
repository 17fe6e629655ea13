"""Pages that are a template with a tag in a loop."""

from __future__ import annotations

from django.template import engines

from benchmarks.cards.content import TAGS
from benchmarks.rows import Row

#: How tables call the aliases of ``benchmarks.settings``.
BACKENDS = {
    "locmem": "LocMemCache",
    "redis": "RedisCache",
    "django-redis": "django-redis",
    "pymemcache": "PyMemcacheCache",
}


def row(key: str, label: str, source: str, *, is_cold: bool = True, is_plotted: bool = True) -> Row:
    """Return the row of a page's template, to which ``cards`` and ``tags`` are given."""
    template = engines["django"].from_string(source)
    return Row(
        key=key,
        label=label,
        render=lambda page: template.render({"cards": page.cards, "tags": TAGS}),
        is_cold=is_cold,
        is_plotted=is_plotted,
    )
