"""The limit: one raw client that asks once, and joins what it gets."""

from __future__ import annotations

from django.template.loader import get_template

from benchmarks.cards.content import card_context
from benchmarks.rows import Page, Row
from benchmarks.servers import Stand

LABELS = {
    "locmem": "limit: a dict and join",
    "redis": "limit: redis-py mget and join",
    "memcached": "limit: pymemcache get_many and join",
}


def rows(server: Stand) -> list[Row]:
    """Return the raw client, which on a cold page renders in a loop and stores at once."""

    def render(page: Page) -> bytes:
        values = server.read(page.keys)
        if None in values:
            template = get_template("cards/card.html")
            values = [template.render(card_context(card)).encode() for card in page.cards]
            server.write(dict(zip(page.keys, values, strict=True)))
        return b"".join(values)  # type: ignore[arg-type]

    return [Row(key="limit", label=LABELS[server.name], render=render)]
