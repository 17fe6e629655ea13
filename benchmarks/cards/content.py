"""What a card shows besides the row: the same for every contender."""

from __future__ import annotations

from typing import Any

TAGS = ["python", "django", "cache", "template"]
TEXT = "All the words of a card. " * 25


def card_context(card: Any) -> dict[str, Any]:
    """Return what the card's template is rendered with."""
    return {"card": card, "tags": TAGS}
