"""Sampling: some of a fragment's items, each as likely as any other, in flat memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from fragcache.arguments import as_arguments
from fragcache.declarations import Fragment, is_rows
from fragcache.warming.batches import Batch, batches, keyset
from fragcache.warming.parts import Arguments, Keys

T = TypeVar("T")

#: Primary keys that are read by one query.
_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Chosen(Arguments):
    """Items that were chosen in this process, so that they need not be packed."""

    def loaded(self) -> Iterator[tuple[Any, ...]]:
        """Yield them as tuples of arguments."""
        return map(as_arguments, self.packed)


def sampled(fragment: Fragment, number: int | None, size: int, random: Random) -> Iterator[Batch]:
    """Yield the instances of ``number`` items, all of them for None, ``size`` items at a time.

    Raises:
        ImproperlyDeclared, InvalidArguments: as ``batches``.
    """
    found = fragment.get_items()
    choices = len(fragment.choice_combinations())
    if not is_rows(found):  # of which a batch is so many instances, not items
        size = size * choices
    if number is None or found is None:
        yield from batches(fragment, size)
    elif is_rows(found):
        chunks = keyset(found, _KEYS, fragment.name, None)
        keys = chosen((pk for chunk in chunks for pk, _version in chunk), number, random)
        for some in _pieces(keys, size):
            yield from batches(fragment, size, within=Keys(some))
    else:
        for some in _pieces(chosen(found, number, random), max(1, size // choices)):
            yield from batches(fragment, size, within=Chosen(some))


def chosen(found: Iterable[T], number: int, random: Random) -> list[T]:
    """Return ``number`` of what is found, in its order: algorithm R (Vitter 1985)."""
    reservoir: list[tuple[int, T]] = []
    for position, one in enumerate(found):
        if position < number:
            reservoir.append((position, one))
        elif (place := random.randrange(position + 1)) < number:
            reservoir[place] = position, one
    return [one for _position, one in sorted(reservoir, key=lambda pair: pair[0])]


def _pieces(items: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while piece := list(itertools.islice(iterator, size)):
        yield piece
