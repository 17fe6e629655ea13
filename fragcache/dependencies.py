"""Dependencies: which inner instances an entry shows, and the state that it shows them in.

Whoever finds the entry compares that state with theirs: what has changed inside reaches every
fragment around it, without a write to any of them. Drupal's cache tags bubble in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

#: The version of a row that is not there.
ABSENT: Final = "-"

_LONGEST_STATE = 100
_HASH_BYTES = 12


class Dependency(NamedTuple):
    """Instances of one fragment that one read inside of a render has shown."""

    #: The cache alias that they are in.
    alias: str
    #: The name of their fragment; "" for a block, which is told by its tokens alone.
    fragment: str
    #: The name of their fragment's token, and the encoded arguments of those that have stamps.
    token: str
    stamps: tuple[str, ...]
    #: The state of these tokens, and when the oldest of them was made (microseconds since 1970).
    tokens: str
    made_at: int
    #: What their versions are asked for: keys of rows, or else lists of arguments as JSON; and
    #: where only a source knows them, the keys of their heads.
    instances: tuple[int | str, ...]
    heads: tuple[str, ...]
    #: The state of their code and versions.
    versions: str


def pack(dependencies: Iterable[Dependency]) -> bytes:
    """Return dependencies as a header holds them."""
    return json.dumps(sorted(dependencies), separators=(",", ":")).encode()


def unpack(packed: bytes | None) -> frozenset[Dependency]:
    """Return the dependencies of a header's field; none of one that is absent."""
    return frozenset() if packed is None else _unpacked(packed)


def state_of(parts: Iterable[str]) -> str:
    """Return a text by which equal states, of parts without line breaks, are told from others."""
    state = "\n".join(parts)
    # Optimisation: the usual state, of one instance, is shorter than what names its entry.
    if len(state) <= _LONGEST_STATE:
        return state
    return blake2b(state.encode(), digest_size=_HASH_BYTES).hexdigest()


@lru_cache(maxsize=4096)
def _unpacked(packed: bytes) -> frozenset[Dependency]:
    return frozenset(
        Dependency._make(tuple(part) if isinstance(part, list) else part for part in one)
        for one in json.loads(packed)
    )
