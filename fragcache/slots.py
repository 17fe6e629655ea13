"""Slots: the places that instances have in the cache, and the order in which they are written."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, NamedTuple

from django.template import TemplateSyntaxError

from fragcache.arguments import Instance
from fragcache.bubbling import earliest
from fragcache.counters import count, degrade
from fragcache.declarations import Fragment
from fragcache.digests import includes_digest
from fragcache.entry import Entry, Field, Kind, pack_field
from fragcache.events import Event
from fragcache.exceptions import ImproperlyDeclared
from fragcache.holed import Holed, packed_holes
from fragcache.keys import entry_key, head_key, suffix
from fragcache.page import now
from fragcache.records import Head
from fragcache.rendering import Output
from fragcache.store import Store
from fragcache.token_memory import TokenName
from fragcache.versions import Version

#: Seconds that a superseded entry is kept, for pages that hold its head already.
SUPERSEDED_LIFE: Final = 60
_SECOND: Final = 1_000_000
_LARGEST_COST: Final = 2**32 - 1


@dataclass(slots=True, kw_only=True)
class Slot:
    """One instance under one set of axis values."""

    instance: Instance
    #: What its keys have in common.
    base: str
    digest: str = ""
    #: None until it is known: read from a head, or made for a fragment without versions.
    version: Version | None = None
    #: The stored head, and the bytes it was read from.
    head: Head | None = None
    head_bytes: bytes | None = None
    #: Those to store under; None where nothing may be stored.
    tokens: bytes | None = None
    #: Those that an entry of another thread or process is current under.
    current: bytes | None = None
    output: Output | None = None
    #: When the stale entry that stands in for it was made.
    former_built_at: int | None = None
    #: Why it is due, as far as that can be told.
    why: str = ""
    #: Whether the cache could not be asked: nothing is stored, or was invalidated to our knowledge.
    is_cut_off: bool = False
    #: Whether the cache has confirmed that it keeps the output.
    is_stored: bool = False
    #: Whether what is stored shows other instances, which may change without it.
    is_nested: bool = False

    @property
    def suffix(self) -> str:
        assert self.version is not None
        return suffix(self.version.encoded, self.digest)


def versions_from(slots: Iterable[Slot]) -> frozenset[str]:
    """Return the databases that the versions of slots were read from."""
    found = {slot.version.databases for slot in slots if slot.version is not None}
    return next(iter(found)) if len(found) == 1 else frozenset[str]().union(*found)


def token_names(fragment: Fragment, arguments: str) -> tuple[TokenName, ...]:
    """Return what tokens an instance, by its encoded arguments, is current under."""
    if fragment.is_stamped:
        return fragment.token_name, TokenName(fragment.token_name.fragment, arguments)
    return (fragment.token_name,)


def unique_version(as_of: int) -> Version:
    """Return a version for a render of a fragment that has none: a key never has two meanings."""
    return Version(encoded=f"{as_of}-{os.urandom(4).hex()}", as_of=as_of)


class Written(NamedTuple):
    """What became of entries that were to be stored, by key."""

    confirmed: dict[str, Entry]
    #: Why the cache did not take them, in its own words.
    refused: dict[str, str]


def write(store: Store, fragment: Fragment, slots: Sequence[Slot]) -> Written:
    """Store rendered slots, with heads; return what was confirmed and what was refused.

    Entries first, with replies; then heads, only of entries that were confirmed; then the
    superseded entries' lives are cut. A head never names what is not there.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    written = write_entries(store, fragment, slots)
    write_heads(store, fragment, slots, written.confirmed)
    return written


def write_entries(
    store: Store, fragment: Fragment, slots: Sequence[Slot], at_most: float | None = None
) -> Written:
    """Store the entries of rendered slots; return what was confirmed and what was refused.

    They live as long as the fragment says, or ``at_most`` so many seconds.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    room, maker = store.room, _Maker(fragment)
    entries = {entry_key(slot.base, slot.suffix, room): maker.entry(slot) for slot in slots}
    lives = [life for life in (fragment.life, at_most) if life is not None]
    refused = store.write_many(entries, min(lives, default=None))
    count(Event.STORED, fragment.name, len(entries) - len(refused))
    for reason, times in Counter(refused.values()).items():
        degrade(
            Event.REFUSED,
            fragment.name,
            reason,
            "%s: the cache alias %r refused %d: %s.",
            *(fragment.name, store.alias, times, reason.removesuffix(".")),
            times=times,
        )
    for key in refused:
        del entries[key]
    return Written(entries, refused)


def write_heads(
    store: Store, fragment: Fragment, slots: Sequence[Slot], confirmed: Mapping[str, Entry]
) -> None:
    """Let heads name the entries that were confirmed, and cut the lives of those before them.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    room, maker = store.room, _Maker(fragment)
    heads, seen, superseded = {}, {}, []
    for slot in slots:
        own = slot.suffix
        if entry_key(slot.base, own, room) not in confirmed:
            continue
        key = head_key(slot.base, slot.digest, room)
        former = slot.head.suffix if slot.head else ""
        predecessor = former if former != own else slot.head.predecessor if slot.head else ""
        heads[key] = maker.head(slot, Head(own, predecessor))
        if slot.head_bytes is not None:
            seen[key] = slot.head_bytes
        if former and former != own:
            superseded.append(entry_key(slot.base, former, room))
    store.advance_many(heads, head_life(fragment), seen)
    stale = max(fragment.stale_while_revalidate, fragment.stale_if_error)
    store.touch_many(superseded, max(stale, SUPERSEDED_LIFE))


def head_life(fragment: Fragment) -> float | None:
    """Return the seconds that a head is kept: no entry, however often touched, outlives it."""
    max_age, life = fragment.effective_max_age, fragment.life
    return None if max_age is None or life is None else max_age + life


def recorded_includes(recorded: bytes | None) -> list[str]:
    """Return the templates that a variable chose when an entry was made, of its field INCLUDES."""
    return [] if recorded is None else recorded.decode().split("\n")[1:]


def includes_are_current(recorded: bytes | None) -> bool:
    """Whether the templates that a variable chose are still those that made an entry."""
    if recorded is None:
        return True
    digest, *names = recorded.decode().split("\n")
    try:
        return includes_digest(tuple(names)) == digest
    except (ImproperlyDeclared, TemplateSyntaxError):  # rendering says what is wrong, if it is
        return False


class _Maker:
    """Makes what is sealed of the slots of one batch, which have a good part in common."""

    def __init__(self, fragment: Fragment) -> None:
        max_age = fragment.effective_max_age
        self._name, self._kind = fragment.name, fragment.entry_kind
        self._built_at = now()
        self._fresh_until = 0 if max_age is None else self._built_at + int(max_age * _SECOND)
        self._writer = pack_field(Field.WRITER, _writer(os.getpid()))

    def entry(self, slot: Slot) -> Entry:
        """Return the entry of a rendered slot."""
        assert slot.output is not None
        assert slot.output.payload is not None
        assert slot.version is not None
        # From the highest tag to the lowest.
        tagged = (
            _holes(slot.output)
            + _conditions(slot.output)
            + (_reason_field(slot.why) if slot.why else b"")
            + self._instance(slot)
            + self._writer
            + pack_field(Field.COST, min(slot.output.cost, _LARGEST_COST).to_bytes(4))
            + _digest_field(slot.digest)
            + pack_field(Field.VERSION, slot.version.encoded.encode())
        )
        return self._made(slot, self._kind, slot.output.payload, tagged)

    def head(self, slot: Slot, head: Head) -> Entry:
        """Return the head of a rendered slot."""
        assert slot.output is not None
        return self._made(slot, Kind.HEAD, head.pack(), _conditions(slot.output))

    def _instance(self, slot: Slot) -> bytes:
        if self._kind is not Kind.SNAPSHOT:
            return b""
        return pack_field(Field.INSTANCE, f"{self._name}:{slot.instance.encoded}".encode())

    def _made(self, slot: Slot, kind: Kind, payload: bytes, tagged: bytes) -> Entry:
        assert slot.version is not None
        assert slot.tokens is not None
        assert slot.output is not None
        return Entry(
            kind,
            payload,
            slot.version.as_of,
            self._built_at,
            earliest(self._fresh_until, slot.output.fresh_until),
            slot.tokens,
            tagged,
        )


def _holes(output: Output) -> bytes:
    html = output.html
    return pack_field(Field.HOLES, packed_holes(html)) if isinstance(html, Holed) else b""


def _conditions(output: Output) -> bytes:
    """Return the critical fields, from the highest tag to the lowest."""
    names, shown = output.includes, output.dependencies
    return (pack_field(Field.DEPENDENCIES, shown) if shown else b"") + (
        _includes(names) if names else b""
    )


def _includes(names: tuple[str, ...]) -> bytes:
    return pack_field(Field.INCLUDES, "\n".join((includes_digest(names), *names)).encode())


@cache
def _writer(pid: int) -> bytes:
    return f"{socket.gethostname()}:{pid}".encode()


@cache
def _reason_field(reason: str) -> bytes:
    return pack_field(Field.REASON, reason.encode())


@lru_cache(maxsize=256)
def _digest_field(digest: str) -> bytes:
    return pack_field(Field.DIGEST, digest.encode())
