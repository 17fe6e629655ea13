"""What is found of published contexts: by the heads of instances, or by a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from fragcache.entry import Entry
from fragcache.guard import reading
from fragcache.local import KeptSnapshot, kept_snapshot
from fragcache.page import Page, Wanted, now
from fragcache.reading.batch import Batch
from fragcache.reading.fetching import fetch, known_tokens
from fragcache.reading.lookup import head_keys
from fragcache.reading.pins import pin
from fragcache.reading.standing import standings
from fragcache.records import Head
from fragcache.store import Store
from fragcache.token_memory import TokenName
from fragcache.tokens import Tokens, read
from fragcache.transactions import awaited

#: Where an entry's tokens name that of the instance; zeros without one.
_STAMP: Final = slice(16, 32)


class Age(Enum):
    """Whether a context is the one that was published last, under the tokens of now."""

    FRESH = auto()
    STALE = auto()


class Found(NamedTuple):
    """One context."""

    payload: bytes
    #: The end of its key, which tells its state from others.
    suffix: str
    age: Age
    #: Microseconds since 1970 UTC.
    built_at: int
    #: The inner instances whose HTML it holds.
    dependencies: bytes | None
    #: Those that it was made under.
    tokens: bytes


def states(batch: Batch, page: Page) -> list[str | None]:
    """Return which contexts are the newest, as ``Found.suffix`` says it, None for no context.

    One round trip: their heads tell. A context may have ended before its head, or been purged.
    """
    records, tokens = _heads(batch, page)
    heads = [
        None if record is None or tokens is None else Head.unpack(record.payload)
        for record in records
    ]
    return [None if head is None or head.is_tombstone else head.suffix for head in heads]


def newest(batch: Batch, page: Page) -> list[Found | None]:
    """Return the newest contexts of a batch, None for those that are not to be had.

    Two round trips, or one where the process holds what the heads name. What is stale is returned
    unless it was purged.
    """
    records, tokens = _heads(batch, page)
    if tokens is None:
        return [None] * len(records)
    heads = [None if one is None else Head.unpack(one.payload) for one in records]
    keys = [
        None if head is None or head.is_tombstone else batch.entry_key(position, head.suffix)
        for position, head in enumerate(heads)
    ]
    names = {
        key: batch.token_names(position) for position, key in enumerate(keys) if key is not None
    }
    copies = _held(batch.cache, names)
    outdated = [key for key, own in names.items() if not _is_fresh(copies.get(key), tokens, own)]
    copies |= fetched(batch.cache, outdated, batch.fragment.life)
    found: list[Found | None] = []
    for key, head in zip(keys, heads, strict=True):
        copy = None if key is None else copies.get(key)
        if key is None or head is None or copy is None:
            found.append(None)
        else:
            found.append(_judged(copy, head.suffix, tokens, names[key]))
    return _by_what_they_show(found, batch.cache, page)


def named(cache: Store, key: str, page: Page) -> Found | None:
    """Return the context under a key that ``publish_context`` gave, None where it is not there."""
    found = _under_key(cache, key, _held(cache, [key]).get(key))
    if found is None or found.age is Age.STALE:  # another may have been put in its place
        found = _under_key(cache, key, fetched(cache, [key], None).get(key))
    return _by_what_they_show([found], cache, page)[0]


def fetched(cache: Store, keys: Sequence[str], life: float | None) -> dict[str, KeptSnapshot]:
    """Return the contexts under ``keys`` that are in the cache, and keep them."""
    entries: dict[str, Entry] = {}
    if keys:
        entries = reading(cache, entries, cache.read_many, keys)
    moment = now()
    read_now = {key: kept_snapshot(entry, moment, life) for key, entry in entries.items()}
    fetched = {key: copy for key, copy in read_now.items() if copy is not None}
    cache.local.snapshots.keep({_local_name(cache, key): copy for key, copy in fetched.items()})
    return fetched


def superseded(batch: Batch, position: int, page: Page) -> str | None:
    """Return the key of the context before the newest one, None where the head names none."""
    head = page.memory(batch.cache.space).heads.get(head_keys(batch)[position])
    suffix = "" if head is None else Head.unpack(head.payload).predecessor
    return batch.entry_key(position, suffix) if suffix else None


def _under_key(cache: Store, key: str, copy: KeptSnapshot | None) -> Found | None:
    if copy is None:
        return None
    names = _names_of(copy)
    tokens = reading(cache, None, read, cache, names, may_write=False)
    return None if tokens is None else _judged(copy, key, tokens, names)


def _heads(batch: Batch, page: Page) -> tuple[list[Entry | None], Tokens | None]:
    cache, memory = batch.cache, page.memory(batch.cache.space)
    keys = head_keys(batch)
    pin(batch, page, keys)
    names = batch.distinct_token_names()
    tokens = known_tokens(cache, page, names)
    if tokens is None or not memory.heads.keys() >= set(keys):
        heads = {key: (batch.base(n), batch.fragment.life) for n, key in enumerate(keys)}
        tokens = fetch(cache, page, Wanted(heads=heads, names=names))
    if tokens is None:
        return [None] * len(keys), None
    return list(map(memory.heads.get, keys)), tokens


def _held(cache: Store, keys: Iterable[str]) -> dict[str, KeptSnapshot]:
    """Return the contexts under ``keys`` that the process keeps."""
    wanted = list(keys)
    kept = cache.local.snapshots.get_many(_local_name(cache, key) for key in wanted)
    return {key: copy for key, copy in zip(wanted, kept, strict=True) if copy is not None}


def _local_name(cache: Store, key: str) -> tuple[str, str, str]:
    return cache.space, "context", key


def _names_of(copy: KeptSnapshot) -> tuple[TokenName, ...]:
    """Return the names of the tokens that a context was made under."""
    name, arguments = copy.instance
    if not copy.tokens[_STAMP].strip(b"\0"):
        return (TokenName(name),)
    return TokenName(name), TokenName(name, arguments)


def _judged(
    copy: KeptSnapshot, suffix: str, tokens: Tokens, names: Sequence[TokenName]
) -> Found | None:
    """Return a context that was found, None where it may not even be served as stale."""
    is_fresh = _is_fresh(copy, tokens, names)
    if not is_fresh and tokens.have_purged(copy.tokens, names):
        return None
    age = Age.FRESH if is_fresh else Age.STALE
    return Found(copy.payload, suffix, age, copy.built_at, copy.dependencies, copy.tokens)


def _by_what_they_show(
    found: Sequence[Found | None], cache: Store, page: Page
) -> list[Found | None]:
    """Return contexts as stale, or not at all, whose inner fragments were invalidated or purged."""
    shown = {one.dependencies for one in found if one is not None and one.dependencies}
    if not shown:  # optimisation: most hold no HTML of others
        return list(found)
    standing = standings({one for one in shown if one}, page, source=cache)
    judged: list[Found | None] = []
    for one in found:
        inner = None if one is None or not one.dependencies else standing[one.dependencies]
        if one is None or (inner is not None and inner.is_purged):
            judged.append(None)
        else:
            is_stale = inner is not None and not inner.is_valid
            judged.append(one._replace(age=Age.STALE) if is_stale else one)
    return judged


def _is_fresh(copy: KeptSnapshot | None, tokens: Tokens, names: Sequence[TokenName]) -> bool:
    if copy is None or not awaited().isdisjoint(names):
        return False
    return copy.tokens == tokens.pair(*names) and now() <= copy.until
