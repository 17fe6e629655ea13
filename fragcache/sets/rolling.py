"""Rolling back: the generation that was shown before is shown again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fragcache import tokens
from fragcache.exceptions import SetIncomplete, SetMissing
from fragcache.keys import set_key
from fragcache.records import Token
from fragcache.sets.records import Generation, Shown, check_name, read_members, read_shown
from fragcache.sets.turns import turn
from fragcache.store import Store, store
from fragcache.token_memory import TokenName

#: Members that are looked for at a time: their values travel, and are in memory together.
_SIZE: Final = 200


def rollback_set(name: str, *, using: str | None = None) -> Shown:
    """Show again the generation of a set that was shown before; return what is shown now.

    A second time it is the other way round. What is published afterwards is shown as ever.

    Raises:
        SetMissing: there is no such set.
        SetIncomplete: it has no former generation, or not all of its members are there, or a
            fragment of it was purged since.
        CacheUnavailable: the cache does not answer.
        ReadOnly: this site only reads.
        InvalidArguments: it is no name of a set.
    """
    cache = store(using)
    cache.check_writable()
    check_name(name)
    with turn(cache, name):
        return _rolled_back(cache, name)


def missing_members(cache: Store, name: str, generation: Generation) -> int:
    """Return how many members of a generation are not in the cache, all where that is unknown."""
    members = read_members(cache, name, generation)
    if members is None:
        return generation.members
    parts = (members[start : start + _SIZE] for start in range(0, len(members), _SIZE))
    return sum(len(part) - len(cache.fetch_many(part)) for part in parts)


def no_such_set(name: str) -> SetMissing:
    """Return the error for a set that is not there."""
    return SetMissing(
        f"No set {name!r} is in this cache: publish it on the source, and see that both sites have "
        "one KEY_PREFIX and the same SECRET_KEYS."
    )


def _rolled_back(cache: Store, name: str) -> Shown:
    shown = read_shown(cache, name)
    if shown is None:
        raise no_such_set(name)
    if shown.former is None:
        raise SetIncomplete(f"The set {name!r} was published once: there is nothing before it.")
    _revive(cache, name, shown.former)
    # By one, and so only if nobody has published meanwhile, whose turn this one became.
    rolled_back = replace(
        shown,
        current=shown.former,
        former=shown.current,
        is_rolled_back=not shown.is_rolled_back,
        as_of=shown.as_of + 1,
    )
    if cache.advance_many({set_key(name, cache.room): rolled_back.pack()}, None):
        raise SetIncomplete(
            f"The set {name!r} was published anew meanwhile, and not rolled back: see what it "
            "shows, and try again."
        )
    return rolled_back


def _revive(cache: Store, name: str, generation: Generation) -> None:
    if purged := _purged(cache, generation):
        raise SetIncomplete(
            f"The set {name!r} cannot be rolled back: {', '.join(purged)} was purged since, and "
            "would be missing: publish the set anew."
        )
    members = read_members(cache, name, generation)
    gone = None if members is None else cache.touch_many(members, generation.life)
    if gone is None or gone:
        said = "Its list of members" if gone is None else f"{len(gone):,} of its members"
        raise SetIncomplete(
            f"The set {name!r} cannot be rolled back: {said} went from the cache. It is kept for "
            "the seconds that publish_set(rollback_within=) says: publish the set anew."
        )


def _purged(cache: Store, generation: Generation) -> list[str]:
    """Return the fragments that were purged as a whole after a generation was begun."""
    names = [TokenName(fragment) for fragment in generation.fragments]
    current = tokens.read(cache, names).current
    purged = [name for name in names if name in current and _ends(current[name], generation)]
    return sorted(name.fragment for name in purged)


def _ends(token: Token, generation: Generation) -> bool:
    began = int(generation.name.partition("-")[0])  # as ``slots.unique_version`` makes it
    return token.purged_until > began
