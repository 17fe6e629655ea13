"""Fetching: what a page asks the cache for, in one multi-get, and what it holds already.

A page asks once for a key: what it has fetched it remembers, also that something was absent. What
it wishes for comes along with what it needs first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fragcache import conf, token_copies, tokens
from fragcache.bubbling import is_recording
from fragcache.entry import Entry, Kind
from fragcache.guard import reading, writing
from fragcache.keys import entry_key
from fragcache.local import kept_many
from fragcache.page import Memory, Page, Wanted, now
from fragcache.records import Head
from fragcache.store import Store
from fragcache.token_memory import TokenName
from fragcache.tokens import Tokens

#: Seconds for which a page trusts the tokens that it has read itself.
PAGE_TRUST: Final = 1.0


def fetch(cache: Store, page: Page, wanted: Wanted) -> Tokens | None:
    """Bring entries and heads into the page's memory; return the tokens, None without the cache."""
    memory = page.memory(cache.space)
    wishes = memory.wishes
    if wishes:
        memory.wishes = Wanted()
        wanted.add(wishes)
    for key in memory.pinned & wanted.heads.keys():
        del wanted.heads[key]
    token_keys = token_copies.keys_of(cache, wanted.names)
    of_tokens = [key for copies in token_keys.values() for key in copies]
    began = time.monotonic()
    stored = reading(cache, None, cache.fetch_many, [*wanted.entries, *wanted.heads, *of_tokens])
    if stored is None:
        return None
    stored_tokens = {key: stored.pop(key) for key in of_tokens if key in stored}
    found = cache.open_many(stored)
    if len(found) < len(stored):
        memory.unbelieved |= cache.unbelieved(stored.keys() - found.keys(), stored)
    memory.entries.update(kept_many(found, now(), wanted.entries))
    for key in wanted.heads:
        head = found.get(key)
        memory.heads[key] = head if head is not None and head.kind == Kind.HEAD else None
    _wish_for_entries(cache, memory, wishes)
    return _settled(cache, token_keys, stored_tokens, began)


def fetch_record(cache: Store, key: str, names: Iterable[TokenName]) -> Entry | None:
    """Return one believed record; tokens come along, and are known for a while."""
    token_keys = token_copies.keys_of(cache, names)
    of_tokens = [key for copies in token_keys.values() for key in copies]
    began = time.monotonic()
    stored = reading(cache, None, cache.fetch_many, [key, *of_tokens])
    if stored is None:
        return None
    record = {key: stored.pop(key)} if key in stored else {}
    _settled(cache, token_keys, stored, began)
    return cache.open_many(record).get(key)


def _settled(
    cache: Store,
    token_keys: Mapping[TokenName, Sequence[str]],
    stored: Mapping[str, bytes],
    began: float,
) -> Tokens:
    found = token_copies.opened(cache, stored)
    intact = tokens.intact(cache, token_keys, stored, found, began)
    if intact is not None:  # optimisation: as nearly always, nothing has to be written
        return intact
    settled = writing(cache, None, tokens.settle, cache, token_keys, stored, found, began)
    if settled is not None:
        return settled
    # What is there counts, also where nothing can be written.
    return tokens.settle(cache, token_keys, stored, found, began, may_write=False)


def _wish_for_entries(cache: Store, memory: Memory, wishes: Wanted) -> None:
    """Let the next fetch bring the entries that wished heads name."""
    for key, (base, life) in wishes.heads.items():
        record = memory.heads[key]
        if record is not None:
            named = entry_key(base, Head.unpack(record.payload).suffix, cache.room)
            if named not in memory.entries:
                memory.wishes.entries[named] = life


def longest_trust() -> float:
    """Return the seconds after which no token is known that was not read again."""
    return max(PAGE_TRUST, conf.settings().INVALIDATION_LAG)


def known_tokens(cache: Store, page: Page, names: Iterable[TokenName]) -> Tokens | None:
    """Return the tokens if they need not be read again.

    Those that this page has read are good for a second. Outside of a render, whose output may be
    stored, the process's copies are trusted for INVALIDATION_LAG; not in tests that keep fragments
    in their own process, since they clear such a cache without telling anybody.
    """
    moment = time.monotonic()
    since = max(page.began, moment - PAGE_TRUST)
    if not is_recording() and (cache.is_shared or not conf.is_testing()):
        since = min(since, moment - conf.settings().INVALIDATION_LAG)
    return tokens.recall(cache, names, since)
