"""Pins: of what is in an atomic set, a page sees one generation, whatever is published meanwhile.

The heads of a set's members are not read: they follow from the record of the set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fragcache.bounded import Bounded
from fragcache.entry import Kind
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.store import Store
from fragcache.token_memory import TokenName

#: Token names of a fragment that are remembered, and fragments.
_MOST: Final = 100
#: By space and fragment, what pages have needed the tokens of.
_needed: Final[Bounded[Mapping[TokenName, None]]] = Bounded(1_000, lambda _names: 1)


def needed(cache: Store, fragments: Iterable[str]) -> list[TokenName]:
    """Return the token names that pages of this process needed, to fetch with a set's record."""
    spaces = [(cache.space, fragment) for fragment in fragments]
    return [name for names in _needed.get_many(spaces) for name in names or ()]


def pin(batch: Batch, page: Page, keys: Sequence[str]) -> None:
    """Let the heads under ``keys``, those of a batch, be the ones of a set that the page shows."""
    memory = page.memory(batch.cache.space)
    if not memory.pins:  # optimisation: most pages show none
        return
    fragment = batch.fragment
    head = memory.pins.get((fragment.name, fragment.entry_kind))
    # This site's own HTML is rendered where it is missing, and so by its version.
    if head is None or (fragment.is_local and fragment.entry_kind is Kind.HTML):
        return
    memory.heads.update(dict.fromkeys(keys, head))
    memory.pinned.update(keys)
    space = batch.cache.space, fragment.name
    former = _needed.get_many([space])[0] or {}
    names = batch.distinct_token_names()
    if not former.keys() >= names.keys() and len(former) < _MOST:
        _needed.keep({space: {**former, **dict(list(names.items())[:_MOST])}})


def are_rendered_from_pinned(batch: Batch, page: Page) -> bool:
    """Whether this site renders a batch from the contexts of a set that the page shows."""
    name = batch.fragment.name, Kind.SNAPSHOT
    memories = page.memories.values()
    return batch.fragment.is_remote and any(name in memory.pins for memory in memories)
