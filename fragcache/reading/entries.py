"""Entries under keys that are known: what a page or the process holds of them, or the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

from django.utils.safestring import SafeString

from fragcache import conf, transactions
from fragcache.local import Conditions, Kept
from fragcache.page import Page, Wanted, now
from fragcache.reading import traces
from fragcache.reading.batch import Batch
from fragcache.reading.fetching import fetch, known_tokens
from fragcache.reading.standing import standings
from fragcache.slots import includes_are_current
from fragcache.tokens import Tokens

_SECOND: Final = 1_000_000


class Found(NamedTuple):
    """Entries in the order of their keys."""

    #: Those that are fresh.
    html: list[SafeString | None]
    #: The stale ones as well.
    copies: list[Kept | None]
    #: None where the cache is unavailable.
    tokens: Tokens | None
    #: Those that the process held; an entry that the page fetched is none of them.
    local: int = 0


def held(batch: Batch, page: Page) -> Found | None:
    """Return the entries of all instances if the process holds them, without making a key."""
    local = batch.cache.local
    if batch.rows is None or not local.is_on:
        return None
    current = known_tokens(batch.cache, page, batch.distinct_token_names())
    copies = local.get_many(batch.local_names(()))
    html = _fresh(batch, copies, current, page)
    return None if None in html else Found(html, copies, current, len(html))


def held_by_head(batch: Batch, page: Page, keys: Sequence[str]) -> list[Kept] | None:
    """Return the copies of what the heads under ``keys`` named lately, if the process has all."""
    local = batch.cache.local
    if not local.is_on:
        return None
    copies = local.get_many(_names_of_heads(batch, keys))
    latest = _latest()
    # Those that end later are of before the clock was set back, and would live on for as long.
    if any(copy is None or copy.until > latest for copy in copies):
        return None
    current = known_tokens(batch.cache, page, batch.distinct_token_names())
    return None if None in _fresh(batch, copies, current, page) else cast("list[Kept]", copies)


def keep_by_head(batch: Batch, keys: Sequence[str], found: Found) -> None:
    """Keep copies of what heads name for INVALIDATION_LAG: heads move on, unlike entries."""
    until = _latest()
    batch.cache.local.keep(
        {
            name: copy._replace(until=min(copy.until, until))
            for name, copy, html in zip(
                _names_of_heads(batch, keys), found.copies, found.html, strict=True
            )
            if copy is not None and html is not None
        }
    )


def find(batch: Batch, page: Page, keys: Sequence[str | None]) -> Found:
    """Return the entries under ``keys``, None for what is absent and for a key that is None.

    What is held is looked at first. Where that is not current any more, the cache may have what
    another process has put in its place; hence up to two round trips after an invalidation.
    """
    entries = page.memory(batch.cache.space).entries
    current = known_tokens(batch.cache, page, batch.distinct_token_names())
    while True:
        copies = _copies(batch, page, keys)
        html = _fresh(batch, copies, current, page)
        if current is not None and None not in html:
            return Found(html, copies, current, _local(batch, html, keys, entries))
        absent = [
            key
            for key, copy, text in zip(keys, copies, html, strict=True)
            if text is None
            and key is not None
            and key not in entries
            and (copy is None or current is not None)
        ]
        if current is not None and not absent:
            return Found(html, copies, current, _local(batch, html, keys, entries))
        life = batch.fragment.life
        wanted = Wanted(dict.fromkeys(absent, life), names=batch.distinct_token_names())
        current = fetch(batch.cache, page, wanted)
        if current is None:
            return Found(html, copies, None)


def token_pairs(batch: Batch, current: Tokens) -> list[bytes | None]:
    """Return the tokens that each entry must carry, None where no entry is current."""
    awaited = transactions.awaited()
    if not batch.fragment.is_stamped:  # optimisation: they share one
        name = batch.fragment.token_name
        pair = None if name in awaited else current.pair(name)
        return [pair] * len(batch.items)
    return [
        current.pair(*names) if awaited.isdisjoint(names) else None
        for names in map(batch.token_names, range(len(batch.items)))
    ]


def _latest() -> int:
    """Return until when a copy may be kept under its head that is kept now."""
    return now() + int(conf.settings().INVALIDATION_LAG * _SECOND)


def _names_of_heads(batch: Batch, keys: Sequence[str]) -> list[tuple[str, str]]:
    return [(batch.cache.space, key) for key in keys]


def _copies(batch: Batch, page: Page, keys: Sequence[str | None]) -> list[Kept | None]:
    """Return what the page has fetched, which the process keeps, and what it has kept."""
    entries = page.memory(batch.cache.space).entries
    local = batch.cache.local
    if not local.is_on:
        return list(map(entries.get, keys))
    names = batch.local_names(keys)
    copies = local.get_many(names)
    if entries:
        fetched = {}
        for position, (key, name) in enumerate(zip(keys, names, strict=True)):
            if (copy := entries.get(key)) is not None:
                copies[position] = fetched[name] = copy
        if fetched:
            local.keep(fetched)
            traces.see(batch)
    return copies


def _local(
    batch: Batch,
    html: Sequence[SafeString | None],
    keys: Sequence[str | None],
    entries: Mapping[str | None, Kept | None],
) -> int:
    """Return how many fresh entries the process held before the page asked the cache."""
    if not batch.cache.local.is_on:
        return 0
    found = zip(keys, html, strict=True)
    return sum(text is not None and entries.get(key) is None for key, text in found)


def _fresh(
    batch: Batch, copies: Sequence[Kept | None], current: Tokens | None, page: Page
) -> list[SafeString | None]:
    if current is None:
        return [None] * len(copies)
    moment = now()
    pairs = token_pairs(batch, current)
    nested: list[bytes] = []
    html = [
        copy.html
        if copy is not None
        and copy.tokens == pair
        and moment <= copy.until
        and (copy.conditions is None or _is_of_this_code(batch, copy.conditions, nested))
        else None
        for copy, pair in zip(copies, pairs, strict=True)
    ]
    if nested:  # optimisation: most show no others, which costs them nothing
        source = None if batch.fragment.is_local else batch.cache
        standing = standings(set(nested), page, source=source)
        for position, copy in enumerate(copies):
            shown = copy and copy.conditions and copy.conditions.dependencies
            if shown in standing and not standing[shown].is_current:
                html[position] = None
    return html


def _is_of_this_code(batch: Batch, conditions: Conditions, nested: list[bytes]) -> bool:
    """Whether the templates that a variable chose are current; a target has none to compare.

    What the entry shows of inner instances is added to ``nested``.
    """
    if conditions.dependencies is not None:
        nested.append(conditions.dependencies)
    return not batch.fragment.is_local or includes_are_current(conditions.includes)
