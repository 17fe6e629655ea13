"""Tokens: what an invalidation replaces, and what this process knew of them when.

An entry is stored only under tokens that were known before the data it shows was read, that is
before the request began: an invalidation in between must not be undone by a render that began
with the old data.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fragcache.entry import FUTURE_TOLERANCE_US, Entry, Kind
from fragcache.exceptions import InvalidationFailed
from fragcache.page import Page, now
from fragcache.records import Token, token_moments, token_pair
from fragcache.store import Store
from fragcache.token_copies import advance, by_life, fill_gaps, highest_of, keys_of
from fragcache.token_memory import Memory, TokenName

#: The clocks of two machines are assumed to differ by less than half of this, in microseconds.
CLOCK_MARGIN_US: Final = 2 * FUTURE_TOLERANCE_US


@dataclass(slots=True)
class Tokens:
    """The tokens that one read found."""

    current: Mapping[TokenName, Token]
    _known_since: Mapping[TokenName, float]

    def pair(self, fragment: TokenName, stamp: TokenName | None = None) -> bytes | None:
        """Return the tokens under which an entry of the instance is current, if they are known."""
        token = self.current.get(fragment)
        stamped = self.current.get(stamp) if stamp else None
        if token is None or (stamp and stamped is None):
            return None
        return token_pair(token, stamped)

    def pairs(self, names: Iterable[tuple[TokenName, ...]]) -> Iterator[bytes | None]:
        """Yield what ``pair`` returns for the names of each instance."""
        # Optimisation: all instances of a fragment without stamps have the same tuple.
        last: tuple[TokenName, ...] | None = None
        pair = None
        for own in names:
            if own is not last:
                last, pair = own, self.pair(*own)
            yield pair

    def have_purged(self, tokens: bytes, names: Sequence[TokenName]) -> bool:
        """Whether entries made under ``tokens`` may not even be served as stale."""
        return any(
            name in self.current and moment < self.current[name].purged_until
            for name, moment in zip(names, token_moments(tokens), strict=False)
        )

    def allow_storing(self, names: Iterable[TokenName], page: Page) -> bool:
        """Whether none of them can have been replaced since the page began."""
        if page.is_request:
            return self.were_known(names, page.began, page.began_at)
        return all(name in self.current for name in names)

    def were_known(self, names: Iterable[TokenName], began: float, began_at: int) -> bool:
        """Whether all of them stood at a time, given as monotonic seconds and as microseconds."""
        return all(self._stood(name, began, began_at) for name in names)

    def _stood(self, name: TokenName, began: float, began_at: int) -> bool:
        token = self.current.get(name)
        if token is None:
            return False
        return self._known_since[name] <= began or token.moment + CLOCK_MARGIN_US <= began_at


def intact(
    store: Store,
    keys: Mapping[TokenName, Sequence[str]],
    stored: Mapping[str, bytes],
    found: Mapping[str, Entry],
    read: float,
) -> Tokens | None:
    """Return what ``settle`` would, None where it would have to write."""
    seen = {}
    for name, copies in keys.items():
        entries = [found[key] for key in copies if key in found and store.seals_like(stored[key])]
        tokens = [Token.from_entry(entry) for entry in entries if entry.kind == Kind.TOKEN]
        if len(tokens) < len(copies) or len({token.identity for token in tokens}) != 1:
            return None
        seen[name] = tokens[0]
    return Tokens(seen, _memory.note(store.space, seen, read))


def settle(
    store: Store,
    keys: Mapping[TokenName, Sequence[str]],
    stored: Mapping[str, bytes],
    found: Mapping[str, Entry],
    read: float,
    *,
    may_write: bool = True,
) -> Tokens:
    """Return the tokens that ``found`` holds; write those that are absent or have gaps.

    ``stored`` is what was fetched, ``found`` what of it is believed, ``read`` the monotonic time
    at which it was about to be fetched.

    Raises:
        CacheUnavailable: a token is absent and cannot be written.
    """
    highest = {name: highest_of(copies, found) for name, copies in keys.items()}
    seen = {name: token for name, token in highest.items() if token is not None}
    if not (may_write and store.is_writable):
        return Tokens(seen, _memory.note(store.space, seen, read))
    fill_gaps(store, keys, stored, found, seen)
    if len(seen) == len(keys):
        return Tokens(seen, _memory.note(store.space, seen, read))
    absent = {name: keys[name] for name in keys if name not in seen}
    intact_since = _intact_since(store, absent, seen)
    made, others = _create(store, absent)
    seen |= others
    return Tokens(seen | made, _memory.note(store.space, seen, read, made, intact_since))


def read(store: Store, names: Iterable[TokenName], *, may_write: bool = True) -> Tokens:
    """Return tokens in a round trip of their own."""
    keys = keys_of(store, names)
    began = time.monotonic()
    stored = store.fetch_many(key for copies in keys.values() for key in copies)
    return settle(store, keys, stored, store.open_many(stored), began, may_write=may_write)


def recall(store: Store, names: Iterable[TokenName], not_before: float) -> Tokens | None:
    """Return tokens as this process knows them, None unless it read all since ``not_before``."""
    known = _memory.recall(store.space, names, not_before)
    if known is None:
        return None
    return Tokens(
        {name: one.token for name, one in known.items()},
        {name: one.since for name, one in known.items()},
    )


def replace(store: Store, names: Iterable[TokenName], *, purge: bool = False) -> None:
    """Invalidate all that was made under the tokens of ``names``.

    Raises:
        InvalidationFailed: no copy of some token could be replaced.
        CacheUnavailable: the cache did not answer.
    """
    keys = keys_of(store, names)
    found = store.read_many(key for copies in keys.values() for key in copies)
    moment = now()
    successors = {
        name: (highest_of(copies, found) or Token.first(0)).successor(moment, purge=purge)
        for name, copies in keys.items()
    }
    written = {
        key: successors[name].sealed_form() for name, copies in keys.items() for key in copies
    }
    stayed = advance(store, keys, written)
    # Later tokens of another process in their place invalidate as well; anything else there is
    # a cache that takes no writes.
    there = store.read_many(stayed)
    for name, copies in keys.items():
        written_or_later = [
            key not in stayed or (key in there and there[key].as_of >= written[key].as_of)
            for key in copies
        ]
        if not any(written_or_later):
            raise InvalidationFailed(
                f"{name.fragment!r} is not invalidated: the cache alias {store.alias!r} refused "
                "the new token. Try again when it accepts writes."
            )
    _memory.note(store.space, successors, time.monotonic())


_memory = Memory()


def _intact_since(
    store: Store, absent: Iterable[TokenName], seen: Mapping[TokenName, Token]
) -> float:
    """Return since when the cache has lost nothing, in monotonic seconds; 0.0 if nothing tells.

    A token that is absent may have been replaced and lost since, by a restart of the server. What
    is still there tells that it was not. A stamp that is gone tells nothing: those are evicted.
    """
    space, moment = store.space, time.monotonic()
    if not store.backend.forgets:
        return 0.0
    if _memory.knows_any(space, (name for name in absent if name.arguments is None)):
        return moment
    if not seen:
        witness = _memory.oldest(space)
        if witness is None:
            return 0.0
        copies = keys_of(store, [witness])[witness]
        token = highest_of(copies, store.read_many(copies))
        seen = {witness: token} if token else {}
    wall = now() - CLOCK_MARGIN_US
    stood = (
        min(_memory.since(space, name, token), moment - (wall - token.moment) / 1_000_000)
        for name, token in seen.items()
    )
    # Of tokens that are both new and unknown nothing can be told before their margin is over, but
    # for what is made now.
    return min([moment, *stood])


def _create(
    store: Store, keys: Mapping[TokenName, Sequence[str]]
) -> tuple[dict[TokenName, Token], dict[TokenName, Token]]:
    """Return the tokens made here, and those that others made first."""
    moment = now()
    made = {name: Token.first(moment) for name in keys}
    written = {key: made[name].sealed_form() for name, copies in keys.items() for key in copies}
    stayed: set[str] = set()
    for life, part in by_life(keys, written):
        stayed |= store.add_many(part, life)
    there = store.read_many(stayed) if stayed else {}
    not_believed = {key: written[key] for key in stayed - there.keys()}
    for life, part in by_life(keys, not_believed):
        store.write_many(part, life)
    others = {}
    for name, copies in keys.items():
        if token := highest_of(copies, there):
            others[name] = token
            del made[name]
    return made, others
