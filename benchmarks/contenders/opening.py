"""A part of fragcache's work alone: believing entries, which no peer does."""

from __future__ import annotations

from django.template.loader import get_template

from benchmarks.cards.content import card_context
from benchmarks.rows import Page, Row
from fragcache.entry import Entry, Kind, Ring

MOMENT = 1_800_000_000_000_000


def rows() -> list[Row]:
    """Return the opening of a page's entries, sealed once."""
    ring = Ring(["the-benchmarks-seal-with-this"])
    sealed: dict[str, bytes] = {}

    def render(page: Page) -> bytes:
        if page.keys[0] not in sealed:
            template = get_template("cards/card.html")
            for key, card in zip(page.keys, page.cards, strict=True):
                payload = template.render(card_context(card)).encode()
                entry = Entry(Kind.HTML, payload, as_of=MOMENT, built_at=MOMENT)
                sealed[key] = ring.seal(key, entry)
        for key in page.keys:
            ring.open(key, sealed[key])
        return b""

    label = "opening sealed entries, alone"
    return [
        Row(
            key="opening",
            label=label,
            render=render,
            is_cold=False,
            stores=False,
            shows=False,
            is_plotted=False,
        )
    ]
