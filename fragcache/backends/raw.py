"""How raw backends store Django's values without pickle.

    bytes                                    as they are; sealed values begin with b"fc\\x01"
    int (64 bits)                            b"42": servers count natively
    SafeString                               b"\\x00s" UTF-8
    str bool None float list dict, large int b"\\x00j" JSON
    bytes that would read as one of these    b"\\x00b" the bytes

What another program has pickled into the same cache comes back as bytes: whoever can write to a
cache that unpickles can run code on its readers (CVE-2021-33026 of Flask-Caching is one).
"""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import Any, Final

from django.utils.safestring import SafeString, mark_safe


class Missing(Enum):
    """What an undecodable value reads as: nothing is stored."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING

_ESCAPED: Final = b"\x00b"
_JSON: Final = b"\x00j"
_SAFE: Final = b"\x00s"
_FORMS: Final = (_ESCAPED, _JSON, _SAFE)
#: Memcached pads with spaces what ``decr`` made shorter.
_INTEGER: Final = re.compile(rb"-?[0-9]{1,20} {0,19}")
_NATIVE_INTEGERS: Final = range(-(2**63), 2**64)
#: No other first byte needs a look at the rest.
_MARKED: Final = frozenset(bytes([byte]) for byte in b"\x00-0123456789")
_PLAIN: Final = (
    "A raw cache stores bytes, str, int, float, bool, None, lists and dicts with str keys"
)
_REMEDY: Final = "Convert it, or keep it in another alias of CACHES with a backend that pickles."
_SCALARS: Final = frozenset({str, bool, type(None), float, int})


def dumps(value: object) -> bytes:
    """Return ``value`` as it is stored.

    Raises:
        TypeError: only pickle could store it.
    """
    if type(value) is bytes and value[:1] not in _MARKED:  # optimisation: most values by far
        return value
    if isinstance(value, bytes):
        return _ESCAPED + value if _reads_as_a_form(value) else bytes(value)
    if type(value) is int and value in _NATIVE_INTEGERS:
        return b"%d" % value
    if isinstance(value, SafeString):
        return _SAFE + value.encode(errors="surrogatepass")
    _refuse_what_needs_pickle(value)
    return _JSON + json.dumps(value, separators=(",", ":")).encode()


def loads(data: bytes) -> Any:
    """Return the value that ``data`` stores; MISSING where it is of a form but not readable."""
    if data[:1] not in _MARKED:
        return data
    if _INTEGER.fullmatch(data):
        return int(data)
    form, rest = data[:2], data[2:]
    if form == _ESCAPED:
        return rest
    try:
        if form == _JSON:
            return json.loads(rest)
        if form == _SAFE:
            return mark_safe(rest.decode(errors="surrogatepass"))
    except (ValueError, RecursionError):
        return MISSING
    return data


def _reads_as_a_form(value: bytes) -> bool:
    return value.startswith(_FORMS) or _INTEGER.fullmatch(value) is not None


def _refuse_what_needs_pickle(value: object) -> None:
    kind = type(value)
    if isinstance(value, list) and kind is list:
        for item in value:
            _refuse_what_needs_pickle(item)
    elif isinstance(value, dict) and kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"{_PLAIN}, not a dict with the key {key!r}. {_REMEDY}")
            _refuse_what_needs_pickle(item)
    elif kind not in _SCALARS:
        raise TypeError(f"{_PLAIN}, not {kind.__qualname__}: {value!r:.80}. {_REMEDY}")
