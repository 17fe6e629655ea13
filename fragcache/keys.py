"""Keys: how arguments, axes and versions become the names that entries are kept under.

    fc1:courses.course_card:i2:12s4:full:language=s2:en:1732150000000000.9f86d081884c7d65
        |                   |            |              |                |
        fragment            arguments    axes           version          digest

The same without version and with ``@`` and a digest is the key of a head. Pure and stable: the
same arguments make the same key on every Python, Django, locale and PYTHONHASHSEED.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from html import escape
from typing import Any, Final, NamedTuple

from fragcache.exceptions import KeyTooLong, NoIdentity

FORMAT: Final = "fc1"
MAX_BYTES: Final = 200
#: The key of a fragment without arguments or axes has this in their place.
NOTHING: Final = "-"
#: What the digest of a context begins with, which tells its entry from one of HTML.
CONTEXTS: Final = "*"

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NAIVE_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - for datetimes that are naive too
_MICROSECOND = dt.timedelta(microseconds=1)
_UNSAFE = re.compile(rb"[^A-Za-z0-9_.,/+-]")
_HASH_CHARACTERS = 32
_LONGEST_VERSION = 100
#: Shorter than this, a key would be all hash: nobody could read it in a server's log.
_LEAST_ROOM = 60


class Reference(NamedTuple):
    """A database row as a value: Text 5 and Image 5 are not one."""

    label: str
    pk: Any


class Encoded(str):
    """A value that is encoded already: a default that a source published."""

    __slots__ = ()


def base_key(name: str, arguments: str, axes: str) -> str:
    """Return what the keys of one instance under one set of axis values have in common."""
    return f"{FORMAT}:{name}:{arguments}:{axes}"


def entry_key(base: str, suffix: str, room: int = MAX_BYTES) -> str:
    """Return the key of the entry that ``suffix`` (version and digest) names."""
    key = f"{base}:{suffix}"
    return key if len(key) <= room else fit(key, room)  # optimisation: most keys fit


def entry_keys(
    common: tuple[str, str, str],
    arguments: Iterable[str],
    versions: Iterable[str | None],
    room: int = MAX_BYTES,
) -> list[str | None]:
    """Return the keys of entries that have name, axes and digest in common, None for no version."""
    # Optimisation: entry_key(base_key(...), suffix(...)) in one go, for a whole page.
    name, axes, digest = common
    start, middle, end = f"{FORMAT}:{name}:", f":{axes}:", f".{digest}"
    keys = [
        None if version is None else f"{start}{encoded}{middle}{version}{end}"
        for encoded, version in zip(arguments, versions, strict=True)
    ]
    return [key if key is None or len(key) <= room else fit(key, room) for key in keys]


def head_key(base: str, digest: str, room: int = MAX_BYTES) -> str:
    """Return the key of the head that follows one digest; those of contexts share one, ``*``."""
    key = f"{base}@{CONTEXTS}" if digest[:1] == CONTEXTS else f"{base}@{digest}"
    return key if len(key) <= room else fit(key, room)  # optimisation: most keys fit


def token_key(name: str, arguments: str | None, copy: int, room: int = MAX_BYTES) -> str:
    """Return the key of one copy of a token: the fragment's, or with arguments a stamp."""
    stamp = "" if arguments is None else f":{arguments}"
    return fit(f"{FORMAT}:{name}{stamp}", room, f"#{copy}")


def manifest_key(name: str, room: int = MAX_BYTES) -> str:
    """Return the key of what the source says about one fragment."""
    return fit(f"{FORMAT}:{name}!manifest", room)


def set_key(name: str, room: int = MAX_BYTES, part: str = "") -> str:
    """Return the key of what is said of an atomic set; without a name, of what sets there are."""
    return fit(f"{FORMAT}:{name}!set", room, f":{part}" if part else "")


def lock_key(purpose: str, room: int = MAX_BYTES) -> str:
    """Return the key of a lock."""
    return fit(f"{FORMAT}!{purpose}", room)


def lease_key(base: str, state: str, room: int = MAX_BYTES) -> str:
    """Return the key of the right to render an instance in a state: a suffix, or a digest."""
    return fit(f"{base}~{state}", room)


def suffix(version: str, digest: str) -> str:
    """Return the part of an entry's key that tells its state from others."""
    return f"{version}.{digest}"


def fit(key: str, room: int, tail: str = "") -> str:
    """Return ``key``, or where it is too long its readable beginning and a 128-bit hash of it.

    ``tail`` follows in any case: by that of its copies a token lies on several nodes. ``~`` occurs
    in no other key, so that a hashed one cannot meet a plain one.

    Raises:
        KeyTooLong: ``room`` is too small for any key, since KEY_PREFIX takes it.
    """
    if len(key) + len(tail) <= room:
        return key + tail
    if room < _LEAST_ROOM:
        raise KeyTooLong(
            f"KEY_PREFIX and VERSION of the cache alias leave {room} of the {MAX_BYTES} bytes "
            f"of a key; at least {_LEAST_ROOM} are needed. Shorten KEY_PREFIX."
        )
    return f"{key[: room - len(tail) - _HASH_CHARACTERS - 1]}~{_hash(key)}{tail}"


def encode_arguments(values: Iterable[Any]) -> str:
    """Return bound arguments, in the order of the signature, as a part of a key."""
    return "".join(map(encode, values)) or NOTHING


def encode_axes(values: Mapping[str, Any]) -> str:
    """Return axis values as a part of a key; ``=`` ends a name, since names are identifiers."""
    if all(type(value) is str for value in values.values()):
        return _encode_axes(tuple(values.items()))
    return ";".join(f"{name}={encode(values[name])}" for name in sorted(values)) or NOTHING


@lru_cache(maxsize=1024)
def _encode_axes(values: tuple[tuple[str, str], ...]) -> str:
    # Optimisation: all pages have the same few languages and time zones.
    return ";".join(f"{name}={encode(value)}" for name, value in sorted(values)) or NOTHING


def encode_version(version: Any) -> str:
    """Return a version as a part of a key: an mtime in microseconds, an integer, or any of them.

    A datetime and an integer are written as plain digits, the form that operators meet most. A
    long version, such as the mtimes of all rows, is hashed: entries and heads carry it as well.
    """
    if isinstance(version, tuple | list):
        text = "_".join(map(_state, version)) or NOTHING
    else:
        text = _state(version)
    return text if len(text) <= _LONGEST_VERSION else _tagged("h", _hash(text))


def microseconds(moment: dt.datetime) -> int:
    """Return the microseconds since 1970 UTC, exactly; a naive datetime is taken as UTC."""
    since = moment - (_NAIVE_EPOCH if moment.tzinfo is None else _EPOCH)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def encode(value: Any) -> str:
    """Return the canonical form of one value: type tag, length, content.

    Lengths make concatenation injective: ``("a:b", "c")`` and ``("a", "b:c")`` differ, and so do
    ``1``, ``"1"``, ``True`` and ``None``.

    Raises:
        NoIdentity: the type has no canonical form.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if hasattr(value, "fragment_identity"):
        kind = type(value)
        named = f"{kind.__module__}.{kind.__qualname__}"
        return _tagged("k", encode(named) + encode(value.fragment_identity()))
    if isinstance(value, Enum):
        return encode(value.value)
    if hasattr(value, "__html__") and isinstance(value, str):
        return _safe_text(value)
    for base, inherited in _ENCODERS.items():
        if isinstance(value, base):
            return inherited(value)
    raise NoIdentity(
        f"{value!r} ({type(value).__module__}.{type(value).__qualname__}) cannot be an argument "
        "of a fragment: it has no canonical form. Pass a number, text, date, UUID or model "
        "instance, or give its class a method fragment_identity() that returns one."
    )


def encoder_of(kind: type) -> Callable[[Any], str]:
    """Return what encodes values of exactly this type, for those who encode many."""
    return _ENCODERS.get(kind, encode)


def _state(version: Any) -> str:
    if isinstance(version, dt.datetime):
        return str(microseconds(version))
    if isinstance(version, int) and not isinstance(version, bool):
        return str(version)
    return encode(version)


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=_HASH_CHARACTERS // 2).hexdigest()


def _tagged(tag: str, content: str) -> str:
    return f"{tag}{len(content)}:{content}"


def _integer(value: int) -> str:
    digits = str(int(value))
    return f"i{len(digits)}:{digits}"


def _text(value: str, tag: str = "s") -> str:
    # Percent-encoding is injective, and makes spaces, control characters and any alphabet
    # acceptable to Memcached. Lone surrogates occur in file names and must not be an error.
    raw = value.encode("utf-8", "surrogatepass")
    return _tagged(tag, _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], raw).decode())


def _safe_text(value: str) -> str:
    # A literal in a template is a SafeString and must equal the str of a Python caller; only
    # where autoescaping would tell the two apart do they need different keys.
    text = str.__str__(value)
    return _text(text) if escape(text) == text else _text(text, "S")


def _datetime(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return _tagged("N", value.isoformat())
    return _tagged("T", str(microseconds(value)))


def _mapping(value: Mapping[Any, Any]) -> str:
    return _tagged("m", "".join(sorted(encode(key) + encode(item) for key, item in value.items())))


_ENCODERS: Final[dict[type, Callable[[Any], str]]] = {
    Encoded: str,
    Reference: lambda value: _tagged("o", encode(value.label) + encode(value.pk)),
    type(None): lambda _: "n",
    bool: lambda value: "t" if value else "f",
    int: _integer,
    str: _text,
    float: lambda value: _tagged("d", repr(float(value))),
    Decimal: lambda value: _tagged("D", str(value)),
    dt.datetime: _datetime,
    dt.date: lambda value: _tagged("a", value.isoformat()),
    dt.time: lambda value: _tagged("c", value.isoformat()),
    dt.timedelta: lambda value: _tagged("e", str(value // _MICROSECOND)),
    uuid.UUID: lambda value: _tagged("u", value.hex),
    bytes: lambda value: _tagged("b", value.hex()),
    list: lambda value: _tagged("l", "".join(map(encode, value))),
    tuple: lambda value: _tagged("p", "".join(map(encode, value))),
    dict: _mapping,
    set: lambda value: _tagged("x", "".join(sorted(map(encode, value)))),
    frozenset: lambda value: _tagged("x", "".join(sorted(map(encode, value)))),
}
