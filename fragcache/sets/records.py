"""The records of atomic sets: which generation is shown, and what its members are.

    fc1:shop.front!set                             which generation is shown, and the one before
    fc1:shop.front!set:1795283631165828-5f0e#0     the keys of one generation's members
    fc1:shop.front:...:1795283631165828-5f0e.*a7e  a member: an entry as any other

A member's key follows from the generation, so that the first record is all that a page needs. It
is the one thing that ever changes its meaning, by compare-and-advance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fragcache.entry import Entry, Kind
from fragcache.exceptions import CacheUnavailable, InvalidArguments
from fragcache.keys import set_key
from fragcache.page import now
from fragcache.records import pack_document, unpack_document
from fragcache.sets.turns import turn
from fragcache.store import Store

FORMAT: Final = 1
#: Keys of members in one value: with 200 bytes each well below the 1 MiB of Memcached.
_PART: Final = 2_000
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One state of a set."""

    #: The version that all its members have.
    name: str
    #: By fragment, the digest that the keys of its members end with, by the letter of their kind.
    fragments: Mapping[str, Mapping[str, str]]
    members: int
    #: When it was shown first, in microseconds since 1970 UTC.
    shown_at: int
    #: Seconds that the first of its members lives; None is for ever.
    life: float | None

    @property
    def kinds(self) -> Iterator[tuple[str, Kind, str]]:
        """The fragments, what kind their entries are of, and their digests."""
        for fragment, digests in self.fragments.items():
            for letter, digest in digests.items():
                yield fragment, Kind(ord(letter)), digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a set is at a time."""

    current: Generation
    former: Generation | None
    #: Whether the current one is shown again, in place of a later one.
    is_rolled_back: bool
    #: When the current one was begun, or what orders it after the one that it replaced.
    as_of: int

    def pack(self) -> Entry:
        document = {
            "format": FORMAT,
            "current": _packed(self.current),
            "former": None if self.former is None else _packed(self.former),
            "rolled_back": self.is_rolled_back,
        }
        return Entry(Kind.SET, pack_document(document), as_of=self.as_of, built_at=now())


def shown_by(entry: Entry | None) -> Shown | None:
    """Return what a stored record says, None where it is none that this release reads."""
    if entry is None or entry.kind != Kind.SET:
        return None
    document = unpack_document(entry.payload)
    if document["format"] != FORMAT:
        return None
    former = document["former"]
    return Shown(
        current=Generation(**document["current"]),
        former=None if former is None else Generation(**former),
        is_rolled_back=document["rolled_back"],
        as_of=entry.as_of,
    )


def read_shown(cache: Store, name: str) -> Shown | None:
    """Return what a set is now, None where none of that name is in the cache.

    Raises:
        InvalidArguments: it is no name of a set.
        CacheUnavailable: the cache does not answer.
    """
    check_name(name)
    key = set_key(name, cache.room)
    return shown_by(cache.read_many([key]).get(key))


def check_name(name: object) -> None:
    """See that a name may be that of a set.

    Raises:
        InvalidArguments: it may not.
    """
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise InvalidArguments(
            f"{name!r} is no name of a set: it has 1 to 100 letters, digits, '_', '.' or '-'."
        )


def write_members(
    cache: Store, name: str, generation: str, members: Sequence[str], life: float | None
) -> None:
    """Store the keys of a generation's members for ``life`` seconds.

    Raises:
        CacheUnavailable: the cache does not answer, or refuses them.
    """
    moment = now()
    parts = {
        key: Entry(
            Kind.SET,
            pack_document({"keys": list(members[start : start + _PART])}),
            as_of=moment,
            built_at=moment,
        )
        for start, key in zip(
            range(0, len(members), _PART),
            list_keys(cache, name, generation, len(members)),
            strict=True,
        )
    }
    for reason in cache.write_many(parts, life).values():
        raise CacheUnavailable(
            f"alias {cache.alias!r} refused the record of the set {name!r}: "
            f"{reason.removesuffix('.')}.",
            is_refusal=True,
        )


def read_members(cache: Store, name: str, generation: Generation) -> list[str] | None:
    """Return the keys of a generation's members and their records; None where these have ended."""
    parts = list_keys(cache, name, generation.name, generation.members)
    found = cache.read_many(parts)
    if len(found) < len(parts):
        return None
    keys = [key for part in parts for key in unpack_document(found[part].payload)["keys"]]
    return [*keys, *parts]


def list_keys(cache: Store, name: str, generation: str, members: int) -> list[str]:
    """Return the keys of the values that hold the keys of a generation's members."""
    number = -(-members // _PART)
    return [set_key(name, cache.room, f"{generation}#{part}") for part in range(number)]


def names_of_sets(cache: Store) -> list[str]:
    """Return the names of all sets that were published in a cache, in their order."""
    names, _as_of = _read_names(cache)
    return names


def add_name(cache: Store, name: str) -> None:
    """Note that there is a set.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    if name in names_of_sets(cache):
        return
    with turn(cache, ""):
        known, as_of = _read_names(cache)
        moment = now()
        payload = pack_document({"names": sorted({*known, name})})
        entry = Entry(Kind.SET, payload, as_of=max(moment, as_of), built_at=moment)
        cache.advance_many({set_key("", cache.room): entry}, None)


def _read_names(cache: Store) -> tuple[list[str], int]:
    """Return the names of all sets, and what orders their record."""
    key = set_key("", cache.room)
    entry = cache.read_many([key]).get(key)
    if entry is None or entry.kind != Kind.SET:
        return [], 0
    return unpack_document(entry.payload)["names"], entry.as_of


def _packed(generation: Generation) -> dict[str, Any]:
    return {name: getattr(generation, name) for name in generation.__slots__}
