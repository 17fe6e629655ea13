"""A row of a table: one way to show a page of cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """The cards of a page, in memory, and the keys that a raw client keeps them under."""

    cards: Sequence[Any]
    keys: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one contender shows a page."""

    #: Names the row in results.json and in the bounds; stable.
    key: str
    #: Names it in tables.
    label: str
    render: Callable[[Page], str | bytes]
    #: Entered before each round, untimed: settings and patches.
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    #: Whether it takes part in the cold page, and what a cold page leaves in the server.
    is_cold: bool = True
    stores: bool = True
    #: Whether it shows the page; a part of the work does not.
    shows: bool = True
    #: Whether plots have it.
    is_plotted: bool = True


def page_of(cards: Sequence[Any]) -> Page:
    """Return a page of these cards."""
    return Page(cards=cards, keys=[f"raw:{card.pk}" for card in cards])
