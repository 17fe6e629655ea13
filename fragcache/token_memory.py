"""What a process knows of tokens: which it has read, when, and since when it knows them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from fragcache.locks import new_lock
from fragcache.records import Token

#: More remembered tokens than this, and all are forgotten: costs some renders, never truth.
MEMORY_LIMIT: Final = 100_000


class TokenName(NamedTuple):
    """A fragment's token, or with encoded arguments the stamp of one instance."""

    fragment: str
    arguments: str | None = None


class Known(NamedTuple):
    token: Token
    #: Since when this process knows it, in monotonic seconds.
    since: float
    #: When it was last about to be read.
    read: float


class Memory:
    """What this process knows of tokens."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._known: dict[tuple[str, TokenName], Known] = {}

    def note(
        self,
        alias: str,
        seen: Mapping[TokenName, Token],
        read: float,
        made: Mapping[TokenName, Token] | None = None,
    ) -> dict[TokenName, float]:
        """Return since when each token is known; ``read`` is when they were about to be.

        One that was absent and ``made`` here replaces none that a running render could know.
        """
        moment = time.monotonic()
        since = {}
        with self._lock:
            if len(self._known) > MEMORY_LIMIT:
                self._known.clear()
            for name, token in seen.items():
                known = self._known.get((alias, name))
                is_known = known is not None and known.token.identity == token.identity
                since[name] = known.since if known and is_known else moment
                # A reply that was under way while another thread invalidated tells of the past.
                if known is None or is_known or known.read <= read:
                    self._known[alias, name] = Known(token, since[name], read)
            for name, token in (made or {}).items():
                since[name] = 0.0
                self._known[alias, name] = Known(token, 0.0, read)
        return since

    def recall(
        self, alias: str, names: Iterable[TokenName], not_before: float
    ) -> dict[TokenName, Known] | None:
        """Return what is known of tokens, None unless all were read since ``not_before``."""
        found = {}
        for name in names:
            known = self._known.get((alias, name))
            if known is None or known.read < not_before:
                return None
            found[name] = known
        return found
