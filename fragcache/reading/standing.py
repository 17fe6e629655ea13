"""Standing: whether what entries show of inner fragments is what these would show now.

A change of an inner fragment's data, code or tokens reaches the outer ones so, without a write to
any of them. A page pays one query for each inner fragment that has versions; the tokens of those
that templates name literally ride along with the outer one's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from fragcache import transactions
from fragcache.dependencies import Dependency, state_of, unpack
from fragcache.entry import Entry, Field
from fragcache.guard import reading
from fragcache.page import Page, Wanted
from fragcache.reading.fetching import fetch, known_tokens
from fragcache.reading.states import current_states
from fragcache.store import Store, store
from fragcache.token_memory import TokenName
from fragcache.tokens import Tokens, read


class Standing(NamedTuple):
    """What has become of the inner instances that an entry shows."""

    #: Whether they would show the same now; on a target, whether they are valid.
    is_current: bool
    #: Whether none of them was invalidated since.
    is_valid: bool
    #: Whether one was purged, so that the entry may not even be served as stale.
    is_purged: bool


def standings(
    packed: Collection[bytes],
    page: Page,
    *,
    source: Store | None = None,
    may_write: bool = True,
) -> dict[bytes, Standing]:
    """Return what has become of inner instances, by what entries' headers say of them.

    A target, which cannot ask for versions, says the cache of its ``source``. Tokens that are
    absent are made, unless nothing may be written.

    Raises:
        CacheUnavailable: the cache does not answer; only where nothing may be written.
    """
    of_entry = {one: unpack(one) for one in packed}
    every = frozenset[Dependency]().union(*of_entry.values())
    found: dict[Dependency, Standing] = {}
    if source is not None:
        found = _by_tokens(every, source, page, is_target=True)
    else:
        for alias in {one.alias for one in every}:
            own = [one for one in every if one.alias == alias]
            found |= _by_tokens(own, store(alias), page, is_target=False, may_write=may_write)
        states = current_states([one for one in every if found[one].is_valid], page)
        for one, state in states.items():
            if state != one.versions:
                found[one] = found[one]._replace(is_current=False)
    return {one: _together(map(found.__getitem__, shown)) for one, shown in of_entry.items()}


def unchanged(
    found: Mapping[str, Entry], page: Page, *, may_write: bool = True
) -> dict[str, Entry]:
    """Return the entries that show no inner instance which has changed; see ``standings``."""
    shown = {name: entry.field(Field.DEPENDENCIES) for name, entry in found.items()}
    standing = standings({one for one in shown.values() if one}, page, may_write=may_write)
    return {name: found[name] for name, one in shown.items() if not one or standing[one].is_current}


def _by_tokens(
    own: Collection[Dependency],
    cache: Store,
    page: Page,
    *,
    is_target: bool,
    may_write: bool = True,
) -> dict[Dependency, Standing]:
    names = {one: _token_names(one) for one in own}
    wanted = dict.fromkeys(name for some in names.values() for name in some)
    current = known_tokens(cache, page, wanted)
    if current is None and is_target:  # what its source keeps elsewhere is not made here
        current = reading(cache, None, read, cache, wanted, may_write=False)
    elif current is None and not may_write:
        current = read(cache, wanted, may_write=False)
    elif current is None:
        current = fetch(cache, page, Wanted(names=wanted))
    return {one: _by_token(one, names[one], current, is_target=is_target) for one in own}


def _by_token(
    one: Dependency, names: list[TokenName], current: Tokens | None, *, is_target: bool
) -> Standing:
    if not transactions.awaited().isdisjoint(names):
        return Standing(is_current=False, is_valid=False, is_purged=False)
    fragment = names[0]
    stamps: Sequence[TokenName | None] = names[1:]
    pairs: list[str] = []
    for stamp in stamps or [None]:
        pair = None if current is None else current.pair(fragment, stamp)
        if current is None or pair is None:
            return Standing(is_current=is_target, is_valid=is_target, is_purged=False)
        pairs.append(pair.hex())
    assert current is not None
    is_valid = state_of(pairs) == one.tokens
    # Of its tokens it is only known when the oldest was made: that may have been long before.
    is_purged = not is_valid and any(
        one.made_at < current.current[name].purged_until for name in names
    )
    return Standing(is_valid, is_valid, is_purged)


def _token_names(one: Dependency) -> list[TokenName]:
    return [TokenName(one.token), *(TokenName(one.token, stamp) for stamp in one.stamps)]


def _together(standings: Iterable[Standing]) -> Standing:
    standings = list(standings)
    if len(standings) == 1:  # optimisation: most show one fragment
        return standings[0]
    are_current, are_valid, are_purged = zip(*standings, strict=True)
    return Standing(all(are_current), all(are_valid), any(are_purged))
