"""Clearing: every fragment and block of this site is not current any more; nothing is flushed."""

from __future__ import annotations

from collections import defaultdict

from django.core.cache import caches

from fragcache import registry
from fragcache.blocks import token_name as block_token
from fragcache.invalidation import replace_tokens
from fragcache.management.listing import written_blocks
from fragcache.store import store
from fragcache.token_memory import TokenName


def clear(*, purge: bool) -> tuple[int, int]:
    """Invalidate all, in two round trips for each cache alias.

    Blocks are those that stand in template files. Returns how many fragments, and how many names
    of blocks.

    Raises:
        InvalidationFailed: it could not be written; some may be invalidated.
    """
    fragments = [fragment for fragment in registry.all_fragments() if not fragment.is_remote]
    written = {(block["name"], block["using"]) for block in written_blocks()}
    blocks = {(name, using) for name, using in written if using is None or using in caches.settings}
    names: defaultdict[str, list[TokenName]] = defaultdict(list)
    for fragment in fragments:
        names[store(fragment.using).alias].append(fragment.token_name)
    for name, using in blocks:
        names[store(using).alias].append(block_token(name))
    for alias, tokens in names.items():
        replace_tokens(store(alias), tokens, purge=purge)
    return len(fragments), len({name for name, _using in blocks})
