"""Entries: the sealed form of everything that fragcache keeps in a cache.

    magic | format | kind | header length | header                              | MAC | payload
    2       1        1      4               fixed part (61), then tagged fields   16

A value is believed only after its MAC was checked, which covers the key that it was found under:
copied to another key, cut, altered or sealed by a stranger, it is a miss. Nothing is ever
unpickled. Keyed BLAKE2b (RFC 7693) is the fastest MAC in the standard library for a kilobyte. A
signature of 64 bytes may stand in its place, by which a reader cannot seal.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, NamedTuple

from fragcache.exceptions import ReadOnly
from fragcache.signing import FINGERPRINT_BYTES, SIGNATURE_BYTES, Signer, is_signing

MAGIC: Final = b"fc"
FORMAT: Final = 1
#: Where a sealed value carries ``as_of``, big-endian, so that a cache server can compare two.
RANK: Final = slice(8, 16)
#: Where it tells by which secret key it is sealed.
FINGERPRINT: Final = slice(32, 36)
#: A rank further ahead of the clock than this is not believed.
FUTURE_TOLERANCE_US: Final = 5_000_000
#: Two tokens of 16 bytes: the fragment's, and the instance's stamp (zeros without one).
NO_TOKENS: Final = bytes(32)

_PREFIX_BYTES = struct.calcsize(">2sBBI")
#: What stands before the tagged fields, prefix and all.
_HEADER = struct.Struct(">2sBBI QQQ4s32sB")
_FIXED_BYTES = _HEADER.size - _PREFIX_BYTES
_FIELD = struct.Struct(">BI")
_MAC_BYTES = 16
_CRITICAL = 0x80
_FIRST_CRITICAL = bytes([_CRITICAL])
_HAS_CRITICAL = 0x01
_new = tuple.__new__


class Kind(IntEnum):
    """What a sealed value is; it cannot be taken for another kind, since the MAC covers it."""

    HTML = ord("E")
    SNAPSHOT = ord("C")
    HEAD = ord("H")
    TOKEN = ord("T")
    MANIFEST = ord("M")
    LOCK = ord("L")
    SET = ord("S")


class Field(IntEnum):
    """The tagged fields of a header. A reader that does not know a critical one (>= 128) must
    not use the value: it would show it without its holes, or undecompressed.
    """

    VERSION = 1
    DIGEST = 2
    AXES = 3
    COST = 4
    WRITER = 5
    #: Of a context, for who has only its key: the fragment's name, and the encoded arguments.
    INSTANCE = 6
    #: Why there was none, when it was rendered.
    REASON = 7
    INCLUDES = _CRITICAL | 1
    DEPENDENCIES = _CRITICAL | 2
    HOLES = _CRITICAL | 3
    # Reserved, so that values of later releases are misses here and not errors.
    COMPRESSION = _CRITICAL | 4
    DICTIONARY = _CRITICAL | 5


UNDERSTOOD: Final = frozenset({Field.INCLUDES, Field.DEPENDENCIES, Field.HOLES})


class Unsealed(Enum):
    """Why a stored value is not believed."""

    UNREADABLE = "unreadable"
    UNKNOWN_FORMAT = "unknown format"
    UNKNOWN_KEY = "unknown key"
    FORGED = "forged"
    UNKNOWN_FIELD = "unknown field"


class Entry(NamedTuple):
    """A value and what is known of it; moments are microseconds since 1970 UTC.

    A NamedTuple, since every hit builds one: half the time of a frozen dataclass.
    """

    kind: int
    payload: bytes
    #: When the version was about to be read; orders heads and tokens.
    as_of: int
    built_at: int
    #: 0: no end.
    fresh_until: int = 0
    tokens: bytes = NO_TOKENS
    #: Tagged fields, packed: few readers need one.
    tagged: bytes = b""

    @property
    def has_critical(self) -> bool:
        """Whether it has a critical field, of which ``pack_fields`` packs one first."""
        return self.tagged[:1] >= _FIRST_CRITICAL

    def field(self, tag: Field) -> bytes | None:
        """Return a tagged field, None where it is absent."""
        return _unpack_fields(self.tagged).get(tag) if self.tagged else None


class Ring:
    """The secret keys: the first one seals, every one of them opens."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """``secrets`` are texts that all sites share, or keys of Ed25519.

        Raises:
            WrongKey: one begins like a key of Ed25519, and is none.
            ExtraMissing: the library for these is not installed.
        """
        signers = {text: Signer(text) for text in secrets if is_signing(text)}
        self._signers = {signer.fingerprint: signer for signer in reversed(signers.values())}
        states = {text: _keyed_state(text) for text in secrets if text not in signers}
        self._states = dict(states.values())
        first = next(iter(secrets))
        self._signer = signers.get(first)
        if self._signer is None:
            self._fingerprint, self._state = states[first]
        else:
            self._fingerprint = self._signer.fingerprint

    @property
    def can_seal(self) -> bool:
        """Whether the first key is more than the public half of a pair."""
        return self._signer is None or self._signer.can_sign

    def seal(self, key: str, entry: Entry) -> bytes:
        """Return ``entry`` as bytes that only ``open`` under the same ``key`` believes.

        Raises:
            ReadOnly: the first key is public.
        """
        kind, payload, as_of, built_at, fresh_until, tokens, tagged = entry
        flags = _HAS_CRITICAL if entry.has_critical else 0
        length = _FIXED_BYTES + len(tagged)
        moments = as_of, built_at, fresh_until
        fixed = _HEADER.pack(
            MAGIC, FORMAT, kind, length, *moments, self._fingerprint, tokens, flags
        )
        head = fixed + tagged
        if self._signer is not None:
            self.check_can_seal()
            return b"".join((head, self._signer.sign(key, head, payload), payload))
        return b"".join((head, _mac(self._state, key, head, payload), payload))

    def open(self, key: str, data: bytes) -> Entry | Unsealed:
        """Return the entry that ``data`` holds, or why it is not believed; raises nothing."""
        try:
            header = _HEADER.unpack_from(data)
        except (struct.error, TypeError):  # raw caches give the number 42 for b"42"
            return Unsealed.UNREADABLE
        magic, version, kind, length, as_of, built_at, fresh_until, fingerprint, tokens, flags = (
            header
        )
        if magic != MAGIC:
            return Unsealed.UNREADABLE
        if version != FORMAT:
            return Unsealed.UNKNOWN_FORMAT
        end = _PREFIX_BYTES + length
        state = self._states.get(fingerprint)
        if state is not None:
            payload = data[end + _MAC_BYTES :]
            mac = _mac(state, key, data[:end], payload)
            if not compare_digest(data[end : end + _MAC_BYTES], mac):
                return Unsealed.FORGED
        elif (signer := self._signers.get(fingerprint)) is not None:
            start = end + SIGNATURE_BYTES
            payload = data[start:]
            if not signer.verifies(data[end:start], key, data[:end], payload):
                return Unsealed.FORGED
        else:
            return Unsealed.UNKNOWN_KEY
        tagged = data[_HEADER.size : end]
        if flags & _HAS_CRITICAL and not UNDERSTOOD.issuperset(_critical(tagged)):
            return Unsealed.UNKNOWN_FIELD
        # Optimisation: half the time of Entry(...), for every hit.
        return _new(Entry, (kind, payload, as_of, built_at, fresh_until, tokens, tagged))

    def check_can_seal(self) -> None:
        """See that the first key can seal.

        Raises:
            ReadOnly: it is public.
        """
        if not self.can_seal:
            raise ReadOnly(
                "The first of FRAGCACHE['SECRET_KEYS'] is a public key, which can seal nothing: "
                "this site only reads."
            )

    def seals_like(self, data: bytes) -> bool:
        """Whether ``data``, which was opened, is sealed with the key that seals now."""
        return data[FINGERPRINT] == self._fingerprint


def pack_fields(fields: Mapping[Field, bytes]) -> bytes:
    """Return tagged fields as a header holds them, critical ones first."""
    return b"".join([pack_field(tag, fields[tag]) for tag in sorted(fields, reverse=True)])


def pack_field(tag: Field, content: bytes) -> bytes:
    """Return one tagged field, for those who know the order: that of ``pack_fields``."""
    return _FIELD.pack(tag, len(content)) + content


def rank(data: bytes) -> int:
    """Return the rank that a sealed value carries, unverified; -1 for what is not one."""
    if len(data) < RANK.stop or not data.startswith(MAGIC):
        return -1
    return int.from_bytes(data[RANK])


def _keyed_state(secret: str) -> tuple[bytes, blake2b]:
    key = blake2b(secret.encode(), digest_size=32, person=b"fragcache.seal").digest()
    fingerprint = blake2b(key, digest_size=FINGERPRINT_BYTES, person=b"fragcache.print").digest()
    # Optimisation: a copy of a keyed state costs less than making one.
    return fingerprint, blake2b(key=key, digest_size=_MAC_BYTES)


def _mac(state: blake2b, key: str, head: bytes, payload: bytes) -> bytes:
    mac = state.copy()
    name = key.encode()
    mac.update(len(name).to_bytes(2) + name + head)
    mac.update(payload)
    return mac.digest()


def _critical(tagged: bytes) -> list[int]:
    return [tag for tag in _unpack_fields(tagged) if tag & _CRITICAL]


def _unpack_fields(tagged: bytes) -> dict[int, bytes]:
    fields = {}
    start = 0
    while start < len(tagged):
        tag, length = _FIELD.unpack_from(tagged, start)
        start += _FIELD.size
        fields[tag] = tagged[start : start + length]
        start += length
    return fields
