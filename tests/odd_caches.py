"""Caches that behave, on purpose, as few do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from fragcache.backends.base import Advance
from fragcache.backends.embedded import EmbeddedCache

#: How a token's key differs from others.
TOKEN_MARK = "#"


class KeepsThreeTokenCopies(EmbeddedCache):
    """As a fleet of servers does."""

    token_copies = 3


class RefusesTokens(EmbeddedCache):
    """Takes everything but a token in another one's place."""

    def advance_many(
        self,
        values: Mapping[str, Advance],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        refused = [key for key in values if TOKEN_MARK in key]
        taken = {key: value for key, value in values.items() if key not in refused}
        return refused + super().advance_many(taken, timeout, version)


class RefusesLargeValues(EmbeddedCache):
    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(location, params)
        self.max_value_bytes = 1000


class Full(EmbeddedCache):
    """Answers every write with an error, as a server without memory or a replica does."""

    def _fail(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise OSError("out of memory")

    store_many = add_many = advance_many = touch_many = delete_many = _fail
