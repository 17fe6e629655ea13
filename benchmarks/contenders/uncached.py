"""No cache at all: what every cache has to be faster than."""

from __future__ import annotations

from django.template import engines
from django.template.loader import get_template

from benchmarks.cards.content import TAGS, card_context
from benchmarks.rows import Page, Row

PAGE = "{% for card in cards %}{% include 'cards/card.html' %}{% endfor %}"


def rows() -> list[Row]:
    """Return a plain loop in Python, and one in a template."""
    page_template = engines["django"].from_string(PAGE)
    return [
        Row(key="plain", label="no cache, plain loop", render=plain_loop, stores=False),
        Row(
            key="include",
            label="no cache, `{% include %}`",
            render=lambda page: page_template.render({"cards": page.cards, "tags": TAGS}),
            stores=False,
        ),
    ]


def plain_loop(page: Page) -> str:
    """Return the page by rendering each card."""
    template = get_template("cards/card.html")
    return "".join([template.render(card_context(card)) for card in page.cards])
