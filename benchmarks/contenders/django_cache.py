"""Django's ``{% cache %}`` around each card."""

from __future__ import annotations

from benchmarks.contenders.templates import BACKENDS, row
from benchmarks.rows import Row
from benchmarks.servers import Stand

# ``using`` spares the tag two microseconds of looking for an alias "template_fragments".
PAGE = (
    "{% load cache %}{% for card in cards %}"
    "{% cache 3600 card card.pk card.updated_at using='BACKEND' %}"
    "{% include 'cards/card.html' %}{% endcache %}{% endfor %}"
)


def rows(server: Stand) -> list[Row]:
    """Return the tag on each of the server's backends, and warm on LocMemCache to compare."""
    here = [_row(backend) for backend in server.backends]
    if "locmem" not in server.backends:
        here.append(_row("locmem", is_cold=False))
    return here


def _row(backend: str, *, is_cold: bool = True) -> Row:
    label = f"`{{% cache %}}`, {BACKENDS[backend]}"
    return row(f"cache-{backend}", label, PAGE.replace("BACKEND", backend), is_cold=is_cold)
