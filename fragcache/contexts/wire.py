"""The wire: a snapshot as bytes, in MessagePack, decoded into nothing but the types below.

    format | kinds: what records have in common | rows: their values | root: the context

Records stand in one table and are referred to by their position in it, so that an artist of fifty
albums is there once, and an artist's album may lead back to the artist. Unlike pickle, nothing in
the bytes names a class or a function of the reader's.
"""

from __future__ import annotations

from typing import Final, TypeVar, Union

import msgspec
from msgspec import Raw, Struct

from fragcache.exceptions import Unreadable

#: Moves when an older reader would misunderstand what is written now.
FORMAT: Final = 1
#: The most that is written, and read.
MAX_BYTES: Final = 4 * 2**20


class Safe(Struct, array_like=True, frozen=True, tag=1):
    """Text that is HTML."""

    text: str


class Items(Struct, array_like=True, frozen=True, tag=2):
    values: list[Value]


class Tuple(Struct, array_like=True, frozen=True, tag=3):
    values: list[Value]


class Map(Struct, array_like=True, frozen=True, tag=20):
    """A dict whose keys are text."""

    values: dict[str, Value]


class Pairs(Struct, array_like=True, frozen=True, tag=4):
    """A dict whose keys are not all text."""

    pairs: list[tuple[Value, Value]]


class Set(Struct, array_like=True, frozen=True, tag=5):
    values: list[Value]
    is_frozen: bool


class Number(Struct, array_like=True, frozen=True, tag=6):
    """A Decimal."""

    text: str


class Moment(Struct, array_like=True, frozen=True, tag=7):
    """A datetime in ISO 8601; the name of its time zone where that is more than an offset."""

    text: str
    zone: str = ""


class Day(Struct, array_like=True, frozen=True, tag=8):
    text: str


class Clock(Struct, array_like=True, frozen=True, tag=9):
    """A time of day."""

    text: str


class Span(Struct, array_like=True, frozen=True, tag=10):
    """A timedelta."""

    days: int
    seconds: int
    microseconds: int


class Uid(Struct, array_like=True, frozen=True, tag=11):
    raw: bytes


class Large(Struct, array_like=True, frozen=True, tag=12):
    """An integer of more than 64 bits."""

    text: str


class Member(Struct, array_like=True, frozen=True, tag=13):
    """A member of an Enum."""

    enum: str
    name: str
    value: Value
    text: str
    label: Value
    is_mixed: bool


class File(Struct, array_like=True, frozen=True, tag=14):
    """A file of a FileField, by its name; None for no URL."""

    name: str
    url: str | None


class Listed(Struct, array_like=True, frozen=True, tag=15):
    """What a queryset selects."""

    values: list[Value]


class Named(Struct, array_like=True, frozen=True, tag=16):
    """A named tuple."""

    names: list[str]
    values: list[Value]


class Ref(Struct, array_like=True, frozen=True, tag=17):
    """A record, by its position among the rows."""

    row: int


class Binary(Struct, array_like=True, frozen=True, tag=19):
    """Bytes."""

    raw: bytes


class Absent(Struct, array_like=True, frozen=True, tag=18):
    """In place of a record's value: why it is not there."""

    reason: str


Value = Union[  # noqa: UP007 - of classes that are named before they are made
    None,
    bool,
    int,
    float,
    str,
    Map,
    Safe,
    Items,
    Tuple,
    Pairs,
    Set,
    Number,
    Moment,
    Day,
    Clock,
    Span,
    Uid,
    Large,
    Member,
    File,
    Listed,
    Named,
    Ref,
    Binary,
    Absent,
]


class Kind(Struct, omit_defaults=True):
    """What records have in common: a model, or a dataclass, and what was loaded of it."""

    label: str
    name: str
    #: The names of the values in rows, of attributes first, then of methods without arguments.
    names: list[str]
    methods: list[str] = []
    #: The attributes that are the primary key; none of a dataclass.
    pk: list[str] = []
    #: Attributes that were not loaded, by what would load them.
    unloaded: dict[str, list[str]] = {}
    #: Relations that were not loaded, and the attribute that is None where they lead to nothing.
    keys: dict[str, str] = {}


class Row(Struct, array_like=True):
    """One record; its text may be one of its values, by position."""

    kind: int
    text: str | int | Safe | None
    values: list[Value]


class Document(Struct):
    kinds: list[Kind]
    rows: list[Row]
    root: dict[str, Value]


class Envelope(Struct):
    """What every reader understands: which format the rest is in."""

    format: int
    body: Raw


_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(Envelope)
_documents = msgspec.msgpack.Decoder(Document)

encode = _encoder.encode


def pack(document: Document) -> bytes:
    """Return a document as bytes."""
    return encode(Envelope(FORMAT, Raw(encode(document))))


def unpack(data: bytes) -> Document:
    """Return the document that ``data`` holds.

    Raises:
        Unreadable: it is none, or one of a later format.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"it has {len(data):,} bytes, more than {MAX_BYTES:,}")
    envelope = _decoded(_envelopes, data)
    if envelope.format > FORMAT:
        raise Unreadable(
            f"it is of format {envelope.format}, and this release reads up to {FORMAT}"
        )
    return _decoded(_documents, envelope.body)


T = TypeVar("T")


def _decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes | Raw) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"it is no snapshot ({type(error).__name__})") from error
