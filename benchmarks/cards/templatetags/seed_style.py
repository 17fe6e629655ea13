"""``{% seed_card %}``: what many sites wrote themselves, one get and one set per card."""

from __future__ import annotations

from django import template
from django.core.cache import caches
from django.template.loader import render_to_string

from benchmarks.cards.content import card_context
from benchmarks.cards.models import Card

register = template.Library()
TIMEOUT = 3600


@register.simple_tag
def seed_card(card: Card, using: str) -> str:
    """Show a card from the cache under its mtime, or render and store it."""
    cache = caches[using]
    key = f"card:{card.pk}:{card.updated_at.timestamp()}"
    html: str | None = cache.get(key)
    if html is None:
        html = render_to_string("cards/card.html", card_context(card))
        cache.set(key, html, TIMEOUT)
    return html
