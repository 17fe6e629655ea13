"""Extents: how many entries a run has of a fragment, and which numbers they are the product of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fragcache import axes
from fragcache.declarations import Fragment, is_rows
from fragcache.warming.batches import number_of_items
from fragcache.warming.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The product of a fragment's items, choices and axis values."""

    #: None where they cannot be counted cheaply; 1 for a fragment without items.
    items: int | None
    has_items: bool
    #: By the name of a parameter or axis, how many values of it are warmed.
    factors: Mapping[str, int]

    @property
    def entries(self) -> int | None:
        """The product; None where the items are not counted."""
        return None if self.items is None else self.items * self.each

    @property
    def each(self) -> int:
        """How many entries there are for each item."""
        return math.prod(self.factors.values())

    def __str__(self) -> str:
        """Return ``300 items x 2 variants x 3 languages = 1,800``, without factors of one."""
        parts = []
        if self.has_items:
            parts.append("? items" if self.items is None else _counted(self.items, "item"))
        parts += [_counted(number, name) for name, number in self.factors.items() if number != 1]
        if not parts:
            return "1 entry"
        end = "" if self.entries is None or len(parts) == 1 else f" = {self.entries:,}"
        return f"{' x '.join(parts)}{end}"

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"items": self.items, "factors": dict(self.factors), "entries": self.entries}


def extent_of(
    fragment: Fragment,
    chosen: Mapping[str, Sequence[Any]] | None = None,
    only: Sequence[str] | None = None,
) -> Extent:
    """Return the extent of a fragment that can be warmed; one query where its items are rows.

    ``chosen`` are axis values instead of all, ``only`` primary keys of items.

    Raises:
        Exception: whatever the site's own items() and values() raise.
    """
    items: int | None
    if only is None:
        items = number_of_items(fragment)
    else:  # of tuples, several may begin with one key
        items = len(set(only)) if is_rows(fragment.get_items()) else None
    return Extent(
        items=items, has_items=fragment.items is not None, factors=factors_of(fragment, chosen)
    )


def factors_of(
    fragment: Fragment, chosen: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, int]:
    """Return by how many values of what each item is multiplied: choices, then axes."""
    chosen = chosen or {}
    numbers = {name: len(values) for name, values in fragment.choices.items()}
    for name in fragment.axes:
        numbers[name] = len(list(chosen.get(name) or axes.get(name).values()))
    return numbers


def extents(plan: Plan) -> dict[str, Extent | None]:
    """Return the extents of a plan by name; None where the site's own code raises.

    The run itself tells what that is. With ``plan.changed`` they are those of all rows.
    """
    found: dict[str, Extent | None] = {}
    for fragment in plan.fragments:
        found[fragment.name] = None
        with suppress(Exception):
            found[fragment.name] = extent_of(fragment, plan.axis_values, plan.only)
    return found


def _counted(number: int, name: str) -> str:
    noun = name.replace("_", " ")
    return f"{number:,} {noun if number == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
