"""Fetching: what a page asks the cache for, in one multi-get, and what it holds already.

A page asks once for a key: what it has fetched it remembers, also that something was absent. What
it wishes for comes along with what it needs first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from fragcache import conf, tokens
from fragcache.bubbling import is_recording
from fragcache.entry import Kind
from fragcache.guard import shielded
from fragcache.local import kept_many
from fragcache.page import Page, Wanted, now
from fragcache.store import Store
from fragcache.tokens import TokenName, Tokens


def fetch(cache: Store, page: Page, wanted: Wanted) -> Tokens | None:
    """Bring entries and heads into the page's memory; return the tokens, None without the cache."""
    memory = page.memory(cache.alias)
    wanted.add(memory.wishes)
    memory.wishes = Wanted()
    token_keys = tokens.keys_of(cache, wanted.names)
    of_tokens = [key for copies in token_keys.values() for key in copies]
    began = time.monotonic()
    stored = shielded(None, cache.fetch_many, [*wanted.entries, *wanted.heads, *of_tokens])
    if stored is None:
        return None
    found = cache.open_many(stored)
    memory.entries.update(kept_many(found, now(), wanted.entries))
    for key in wanted.heads:
        head = found.get(key)
        memory.heads[key] = head if head is not None and head.kind == Kind.HEAD else None
    return shielded(None, tokens.settle, cache, token_keys, stored, found, began)


def known_tokens(cache: Store, page: Page, names: Iterable[TokenName]) -> Tokens | None:
    """Return the tokens if they need not be read again.

    Copies are trusted for INVALIDATION_LAG; inside of a render, whose output may be stored, only
    those that this page has read. Tests clear a cache of their own process, which tells nobody.
    """
    if conf.is_testing() and not cache.backend.shared:
        return None
    since = time.monotonic() - conf.settings().INVALIDATION_LAG
    return tokens.recall(cache, names, max(since, page.began) if is_recording() else since)
