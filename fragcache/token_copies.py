"""Copies: a token lies under several keys, of which the highest counts.

They hash to different nodes, so that a lost node blanks no name and a returning one revives
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from fragcache.entry import Entry, Kind
from fragcache.exceptions import CacheUnavailable
from fragcache.keys import token_key
from fragcache.records import Token
from fragcache.store import Store
from fragcache.token_memory import TokenName

#: Seconds that a stamp is kept, so that no cache fills with those of arguments that visitors made
#: up. Its successor is later than any before, so that its end costs renders, never truth.
STAMP_LIFE: Final = 30 * 86_400
#: How many copies in one cache are remembered as they are stored.
MOST_BELIEVED: Final = 10_000


def keys_of(store: Store, names: Iterable[TokenName]) -> dict[TokenName, Sequence[str]]:
    """Return the keys of all copies of each token."""
    copies, room = store.token_copies, store.room
    return {name: _keys_of(name, copies, room) for name in names}


def opened(store: Store, stored: Mapping[str, bytes]) -> dict[str, Entry]:
    """Return what ``Store.open_many`` does, sooner where the same bytes were believed before."""
    # Optimisation: nearly every page reads tokens, and they hardly ever change.
    names = {key: store.physical_key(key) for key in stored}
    known = {}
    for key, data in stored.items():
        former = store.believed.get(names[key])
        if former is not None and former[0] == data:
            known[key] = former[1]
    if len(known) == len(stored):
        return known
    others = store.open_many({key: stored[key] for key in stored.keys() - known.keys()})
    if len(store.believed) + len(others) > MOST_BELIEVED:
        store.believed.clear()
    store.believed |= {names[key]: (stored[key], entry) for key, entry in others.items()}
    return known | others


def highest_of(copies: Iterable[str], found: Mapping[str, Entry]) -> Token | None:
    """Return the token that counts of those under these keys, None where there is none."""
    entries = (found[key] for key in copies if key in found)
    tokens = [Token.from_entry(entry) for entry in entries if entry.kind == Kind.TOKEN]
    return max(tokens, key=lambda token: token.identity, default=None)


def fill_gaps(
    store: Store,
    keys: Mapping[TokenName, Sequence[str]],
    stored: Mapping[str, bytes],
    found: Mapping[str, Entry],
    tokens: Mapping[TokenName, Token],
) -> None:
    """Write tokens where a copy is absent, lower, or sealed with a key that is to go."""
    gaps = {
        key: token.sealed_form()
        for name, token in tokens.items()
        for key in keys[name]
        if key not in found
        or Token.from_entry(found[key]).identity != token.identity
        or not store.seals_like(stored[key])
    }
    if gaps:
        try:
            advance(store, keys, gaps)
        except CacheUnavailable as error:
            # The node that lacks it is down: the other copies count, and what is absent
            # altogether can be made.
            if not error.is_refusal:
                raise


def advance(
    store: Store, keys: Mapping[TokenName, Sequence[str]], written: Mapping[str, Entry]
) -> set[str]:
    """Write copies that are later than what is there; return the keys where it stayed."""
    stayed: set[str] = set()
    for life, part in by_life(keys, written):
        stayed |= store.advance_many(part, life)
    return stayed


def by_life(
    keys: Mapping[TokenName, Sequence[str]], written: Mapping[str, Entry]
) -> Iterator[tuple[float | None, dict[str, Entry]]]:
    """Yield what is written of fragments' tokens, then of stamps, with the seconds it is kept."""
    stamps = {key for name, copies in keys.items() if name.arguments is not None for key in copies}
    for life, chosen in ((None, written.keys() - stamps), (STAMP_LIFE, written.keys() & stamps)):
        if chosen:
            yield life, {key: written[key] for key in chosen}


@lru_cache(maxsize=4096)
def _keys_of(name: TokenName, copies: int, room: int) -> Sequence[str]:
    return [token_key(name.fragment, name.arguments, copy, room) for copy in range(copies)]
