"""What a process knows of tokens: which it has read, when, and since when it knows them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from weakref import WeakSet

from django.core.signals import setting_changed

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
        #: Those of them that are fragments' own: few among many stamps.
        self._of_fragments: set[tuple[str, TokenName]] = set()
        self._forgotten = 0.0
        _all.add(self)

    def forget(self) -> None:
        """Know nothing any more, as when a cache is cleared; what is made from now on is new."""
        with self._lock:
            self._clear()
            self._forgotten = time.monotonic()

    def note(
        self,
        alias: str,
        seen: Mapping[TokenName, Token],
        read: float,
        made: Mapping[TokenName, Token] | None = None,
        intact_since: float = 0.0,
    ) -> dict[TokenName, float]:
        """Return since when each token is known; ``read`` is when they were about to be.

        One that was absent and ``made`` here replaces none that a running render could know, if
        the cache has lost nothing since the render began: ``intact_since``.
        """
        moment = time.monotonic()
        since = {}
        with self._lock:
            if len(self._known) > MEMORY_LIMIT:
                self._clear()
            for name, token in seen.items():
                known = self._known.get((alias, name))
                is_known = known is not None and known.token.identity == token.identity
                since[name] = known.since if known and is_known else moment
                # A reply that was under way while another thread invalidated tells of the past.
                if known is None or is_known or known.read <= read:
                    self._known[alias, name] = Known(token, since[name], read)
            for name, token in (made or {}).items():
                since[name] = max(intact_since, self._forgotten)
                self._known[alias, name] = Known(token, since[name], read)
            self._of_fragments.update((alias, name) for name in since if name.arguments is None)
        return since

    def knows_any(self, alias: str, names: Iterable[TokenName]) -> bool:
        return any((alias, name) in self._known for name in names)

    def since(self, alias: str, name: TokenName, token: Token) -> float:
        """Return since when a token is known; infinite for one that is not."""
        known = self._known.get((alias, name))
        is_known = known is not None and known.token.identity == token.identity
        return known.since if known and is_known else math.inf

    def oldest(self, alias: str) -> TokenName | None:
        """Return the fragment whose token is known for longest; None where none is."""
        with self._lock:
            found = [
                (known.since, name)
                for where, name in self._of_fragments
                if where == alias and (known := self._known.get((where, name))) is not None
            ]
        return min(found)[1] if found else None

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

    def _clear(self) -> None:
        self._known.clear()
        self._of_fragments.clear()


def forget_all() -> None:
    """Let this process know nothing of tokens any more."""
    for memory in list(_all):
        memory.forget()


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "CACHES":  # the same alias may be another cache
        forget_all()


_all: WeakSet[Memory] = WeakSet()
setting_changed.connect(_forget, dispatch_uid="fragcache.token_memory")
