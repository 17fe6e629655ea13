"""Heads and tokens: the two tiny records beside the entries, as payloads of sealed values."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fragcache.entry import Entry, Kind

_TOMBSTONE = 0x01
_HEAD = struct.Struct(">BHH")
_TOKEN = struct.Struct(">8sQ")
_NO_STAMP: Final = bytes(16)
_new = tuple.__new__


class Head(NamedTuple):
    """Which entry of an instance is newest, and which one it superseded.

    An entry is named by the end of its key: ``<version>.<digest>``.
    """

    suffix: str
    predecessor: str = ""
    #: The object is gone: nothing is to be shown in its place.
    is_tombstone: bool = False

    def pack(self) -> bytes:
        flags = _TOMBSTONE if self.is_tombstone else 0
        suffix, predecessor = self.suffix.encode(), self.predecessor.encode()
        return _HEAD.pack(flags, len(suffix), len(predecessor)) + suffix + predecessor

    @classmethod
    def unpack(cls, payload: bytes) -> Head:
        flags, suffix_bytes, _ = _HEAD.unpack_from(payload)
        names = payload[_HEAD.size :].decode()
        is_tombstone = bool(flags & _TOMBSTONE)
        # Optimisation: half the time of cls(...), for every head.
        return _new(cls, (names[:suffix_bytes], names[suffix_bytes:], is_tombstone))


class Token(NamedTuple):
    """A unique value that an invalidation replaces; of several copies the highest counts."""

    #: Microseconds since 1970 UTC.
    moment: int
    nonce: bytes
    #: Entries of tokens before this moment are not even served as stale.
    purged_until: int = 0

    @property
    def identity(self) -> bytes:
        """The 16 bytes by which an entry's header names the token it was made under."""
        return self.moment.to_bytes(8) + self.nonce

    def successor(self, now: int, *, purge: bool) -> Token:
        """Return the token of an invalidation, later than this one whatever the clock says."""
        moment = max(now, self.moment + 1)
        return Token(
            moment=moment,
            nonce=os.urandom(8),
            purged_until=moment if purge else self.purged_until,
        )

    def sealed_form(self) -> Entry:
        payload = _TOKEN.pack(self.nonce, self.purged_until)
        return Entry(Kind.TOKEN, payload, as_of=self.moment, built_at=self.moment)

    @classmethod
    def from_entry(cls, entry: Entry) -> Token:
        nonce, purged_until = _TOKEN.unpack(entry.payload)
        return cls(moment=entry.as_of, nonce=nonce, purged_until=purged_until)

    @classmethod
    def first(cls, now: int) -> Token:
        return cls(moment=now, nonce=os.urandom(8))


def token_pair(fragment: Token, stamp: Token | None) -> bytes:
    """Return the tokens of an instance as an entry's header holds them."""
    return fragment.identity + (_NO_STAMP if stamp is None else stamp.identity)


def token_moments(tokens: bytes) -> tuple[int, int]:
    """Return when the fragment's token and the stamp in a header were made (microseconds)."""
    return int.from_bytes(tokens[:8]), int.from_bytes(tokens[16:24])


def pack_document(document: Mapping[str, Any]) -> bytes:
    """Return a manifest or lock as a payload."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def unpack_document(payload: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(payload)
    return document
