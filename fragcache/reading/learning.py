"""Learning: what a page asked for, so that its next visit asks for all of it at once.

What was learned is a guess. It is looked up under keys that name instance, version, axes and
digest, so that a wrong one is bytes for nothing, and never another visitor's fragment.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fragcache.page import Page, Wanted
from fragcache.reading.batch import Batch
from fragcache.reading.lookup import head_keys, is_by_version
from fragcache.reading.rows import key_of
from fragcache.store import store


@dataclass(slots=True)
class Learned:
    """What a page used of one cache."""

    alias: str
    #: By what copies of entries are kept under, the seconds for which.
    entries: dict[Hashable, float | None] = field(default_factory=dict)
    heads: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    tokens: dict[Any, None] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many keys it has."""
        return len(self.entries) + len(self.heads) + len(self.tokens)


def wish_for(learned: Mapping[str, Learned], page: Page) -> None:
    """Let the page's first read bring what was learned, unless the process holds it."""
    for of_alias in learned.values():
        cache = store(of_alias.alias)
        copies = cache.local.get_many(of_alias.entries)
        entries = {
            key: life
            for (name, life), copy in zip(of_alias.entries.items(), copies, strict=True)
            if copy is None and (key := key_of(name, cache.room)) is not None
        }
        wishes = Wanted(entries, dict(of_alias.heads), dict(of_alias.tokens))
        page.memory(cache.space).wishes.add(wishes)


def learned_of(page: Page) -> dict[str, Learned]:
    """Return what a page has asked for, by the space of the cache."""
    return {space: _learned(memory.used) for space, memory in page.memories.items() if memory.used}


def _learned(used: Sequence[tuple[Batch, Any]]) -> Learned:
    learned = Learned(used[0][0].cache.alias)
    for batch, keys in used:
        _add(learned, batch, keys)
    return learned


def _add(learned: Learned, batch: Batch, keys: Any) -> None:
    life = batch.fragment.life
    names = batch.local_names(keys)
    learned.entries.update((name, life) for name in names if name is not None)
    learned.tokens |= batch.distinct_token_names()
    if not is_by_version(batch):
        keys_of_heads = head_keys(batch)
        learned.heads |= {key: (batch.base(n), life) for n, key in enumerate(keys_of_heads)}
