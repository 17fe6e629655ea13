"""Parts: which of a fragment's items one batch of a run that workers do is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from fragcache import items, packing
from fragcache.declarations import Fragment
from fragcache.packing import packed_key


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The rows of keys above ``after`` and up to ``until``; None is no bound.

    Ranges that adjoin leave no gap for a row that is inserted meanwhile.
    """

    after: Any = None
    until: Any = None

    def of(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.after is not None:
            rows = rows.filter(pk__gt=self.after)
        return rows if self.until is None else rows.filter(pk__lte=self.until)


@dataclass(frozen=True, slots=True)
class Keys:
    """The rows of these keys, also of a slice or union."""

    keys: Sequence[Any]

    def of(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return items.restrictable(rows).filter(pk__in=list(self.keys))


@dataclass(frozen=True, slots=True)
class Arguments:
    """Items that are no rows, as JSON: lists of plain values and {"model": ..., "pk": ...}."""

    packed: Sequence[Sequence[Any]]

    def loaded(self) -> Iterator[tuple[Any, ...]]:
        """Yield tuples of arguments, but for those whose rows were deleted meanwhile."""
        yield from (item for item in packing.loaded(self.packed) if item is not None)


Part = KeyRange | Keys | Arguments


def packed(part: Part) -> dict[str, Any]:
    """Return a part as JSON takes it: {"after": 500, "until": 1000}."""
    if isinstance(part, KeyRange):
        bounds = {"after": part.after, "until": part.until}
        return {word: packed_key(key) for word, key in bounds.items() if key is not None}
    if isinstance(part, Keys):
        return {"keys": [packed_key(key) for key in part.keys]}
    return {"arguments": part.packed}


def unpacked(fragment: Fragment, found: Mapping[str, Any]) -> Part:
    """Return the part of a fragment that ``packed`` has written.

    Raises:
        InvalidArguments: a key is none of the fragment's model.
    """
    if "arguments" in found:
        return Arguments(found["arguments"])
    key = fragment.parameters.primary_key
    if "keys" in found:
        return Keys([key(value) for value in found["keys"]])
    bounds = (found.get(word) for word in ("after", "until"))
    return KeyRange(*(None if bound is None else key(bound) for bound in bounds))


def described(found: Mapping[str, Any]) -> str:
    """Return what ``packed`` has written in words."""
    if "arguments" in found:
        return f"{len(found['arguments']):,} listed items"
    if "keys" in found:
        return f"keys {found['keys'][0]} to {found['keys'][-1]}" if found["keys"] else "no keys"
    bounds = (("after", "keys after"), ("until", "up to"))
    return " ".join(f"{words} {found[name]}" for name, words in bounds if name in found) or "all"
