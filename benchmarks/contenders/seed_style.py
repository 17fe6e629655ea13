"""The tag that many sites wrote themselves: get, or render and set, card by card."""

from __future__ import annotations

from benchmarks.contenders.templates import BACKENDS, row
from benchmarks.rows import Row
from benchmarks.servers import Stand

PAGE = "{% load seed_style %}{% for card in cards %}{% seed_card card 'BACKEND' %}{% endfor %}"


def rows(server: Stand) -> list[Row]:
    """Return the tag on each of the server's backends."""
    return [
        row(f"seed-{name}", f"seed-style tag, {BACKENDS[name]}", PAGE.replace("BACKEND", name))
        for name in server.backends
    ]
