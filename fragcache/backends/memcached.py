"""Memcached, through pymemcache: raw bytes, time-outs, and bulk in one round trip.

    CACHES = {"fragments": {"BACKEND": "fragcache.backends.memcached.MemcachedCache",
                            "LOCATION": ["10.0.0.1:11211", "10.0.0.2:11211"]}}

Connections outlive the request and are shared by threads. OPTIONS: connect_timeout, timeout,
dead_timeout (seconds), max_value_bytes (the server's ``-I`` less a kilobyte), no_delay,
socket_keepalive, socket_module, tls_context. Sites that share a fleet write its addresses alike:
they decide which key lies where.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    MEMCACHE_MAX_KEY_LENGTH,
    InvalidCacheKey,
)
from django.core.cache.backends.memcached import PyMemcacheCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import cached_property

from fragcache.backends import raw
from fragcache.backends.base import Advance, BulkBackend, NodeLost, ServerStats, advances_over
from fragcache.backends.options import options_of

try:
    import pymemcache  # noqa: F401
except ImportError as error:
    raise ImproperlyConfigured(
        f"MemcachedCache needs pymemcache ({error}): pip install fragcache[memcached]"
    ) from error

from pymemcache.client.base import normalize_server_spec
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

from fragcache.backends.memcached_client import expiry, server_error, storing, why_refused
from fragcache.backends.memcached_fleet import Fleet
from fragcache.backends.memcached_node import ERRORS, Node

DEFAULT_OPTIONS: Final[Mapping[str, Any]] = {
    "connect_timeout": 0.25,
    "timeout": 0.5,
    "dead_timeout": 1.0,
    "max_value_bytes": 2**20 - 1024,
    "no_delay": True,
}
_FURTHER_OPTIONS: Final = ("socket_keepalive", "socket_module", "tls_context")
#: What a key may not have in it.
_REFUSED_BYTES: Final = bytes([*range(0x21), 0x7F])
#: Rounds of gets and cas; in each one some writer succeeds.
_ROUNDS: Final = 50


class MemcachedCache(BulkBackend, PyMemcacheCache):
    """One server, or a fleet in which a lost node costs its share of misses and nothing else.

    Reads of a lost node's keys find nothing and writes to it are refused. Adding, advancing and
    deleting raise where nobody could be asked, since their answer is acted upon.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = ERRORS
    refusals: ClassVar[tuple[type[Exception], ...]] = (
        MemcacheServerError,
        MemcacheClientError,
        NodeLost,
    )

    def __init__(self, server: str | Sequence[str], params: dict[str, Any]) -> None:
        name = "MemcachedCache's of fragcache"
        options = options_of(name, params, DEFAULT_OPTIONS, _FURTHER_OPTIONS)
        self.max_value_bytes = options.pop("max_value_bytes")
        self._dead_timeout = options.pop("dead_timeout")
        super().__init__(server, {**params, "OPTIONS": {}})
        self._client_options = options
        for address in self.client_servers:
            _check(address)
        self.token_copies = min(3, len(self.client_servers))

    @cached_property
    def _cache(self) -> Fleet:
        # The name is Django's, and django-memcache-status looks for ``_cache.get_stats``.
        return Fleet.shared(self.client_servers, self._client_options, self._dead_timeout)

    def close(self, **kwargs: Any) -> None:
        """Keep the connections: Django calls this at the end of each request."""

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        asked = self._asked(keys, version)
        (found, _cas), failures = self._cache.retrieve(b"get", asked)
        self._raise_if_lost(failures)
        # Optimisation: sealed values begin with an "f", and none of raw's own forms does.
        others = [key for key, data in found.items() if data[:1] != b"f"]
        if not others:
            return found
        values = {**found, **{key: raw.loads(found[key]) for key in others}}
        return {key: value for key, value in values.items() if value is not raw.MISSING}

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        too_large = self.too_large(stored)
        expires = expiry(self.lifetime(timeout))
        asked = self._asked(stored, version)
        replies, failures = self._cache.exchange(
            {
                wire: b"delete %b\r\n" % wire
                if key in too_large
                else storing(b"set", wire, stored[key], expires)
                for wire, key in asked.items()
            }
        )
        self._raise_if_lost(failures)
        return too_large | {
            key: why_refused(replies.get(wire))
            for wire, key in asked.items()
            if key not in too_large and replies.get(wire) != b"STORED"
        }

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        too_large = set(self.too_large(stored))
        expires = expiry(self.lifetime(timeout))
        asked = self._asked([key for key in stored if key not in too_large], version)
        replies = self._decisive(
            {wire: storing(b"add", wire, stored[key], expires) for wire, key in asked.items()}
        )
        added = {asked[wire] for wire, reply in replies.items() if reply == b"STORED"}
        return [key for key in stored if key not in added]

    def touch_many(
        self,
        keys: Iterable[str],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        asked = self._asked(keys, version)
        expires = expiry(self.lifetime(timeout))
        replies, failures = self._cache.exchange(
            {wire: b"touch %b %d\r\n" % (wire, expires) for wire in asked}
        )
        self._raise_if_lost(failures)
        return [key for wire, key in asked.items() if replies.get(wire) != b"TOUCHED"]

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        wires = self._asked(keys, version)
        _replies, failures = self._cache.exchange({wire: b"delete %b\r\n" % wire for wire in wires})
        self._raise(failures)

    def advance_many(
        self,
        values: Mapping[str, Advance],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        too_large = self.too_large({key: advance.value for key, advance in values.items()})
        expires = expiry(self.lifetime(timeout))
        asked = self._asked([key for key in values if key not in too_large], version)
        waiting = {wire: values[key] for wire, key in asked.items()}
        advanced: set[str] = set()
        for _ in range(_ROUNDS):
            (there, cas), failures = self._cache.retrieve(b"gets", {wire: wire for wire in waiting})
            self._raise_if_lost(failures)
            replies = self._decisive(
                {
                    wire: storing(
                        b"cas" if wire in there else b"add",
                        wire,
                        raw.dumps(waiting[wire].value),
                        expires,
                        cas.get(wire, b""),
                    )
                    for wire in advances_over(waiting, there.get)
                }
            )
            advanced |= {asked[wire] for wire, reply in replies.items() if reply == b"STORED"}
            waiting = {wire: waiting[wire] for wire in replies if asked[wire] not in advanced}
            if not waiting:
                break
        return [key for key in values if key not in advanced]

    def server_stats(self) -> list[ServerStats]:
        return self._cache.server_stats()

    def validate_key(self, key: str) -> None:
        super().validate_key(key)
        if len(key.encode()) > MEMCACHE_MAX_KEY_LENGTH:  # Django counts characters
            raise InvalidCacheKey(f"{key!r} has more than {MEMCACHE_MAX_KEY_LENGTH} bytes.")

    def _asked(self, keys: Iterable[str], version: int | None) -> dict[bytes, str]:
        """Return the keys by what the server calls them.

        Raises:
            InvalidCacheKey: Memcached would take it for several, or refuse it.
        """
        names = list(keys)
        physical = self.make_keys(names, version)
        wires = [key.encode() for key in physical]
        # Optimisation: one look at all of them, and at each only where that finds anything.
        line = b"".join(wires)
        if (
            len(line.translate(None, _REFUSED_BYTES)) < len(line)
            or max(map(len, wires), default=0) > MEMCACHE_MAX_KEY_LENGTH
        ):
            for key in physical:
                self.validate_key(key)
        return dict(zip(wires, names, strict=True))

    def _decisive(self, commands: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Return the replies to commands of which the caller must know what became of them."""
        replies, failures = self._cache.exchange(commands)
        if not replies:
            self._raise(failures)
        for reply in replies.values():
            if reply.startswith(b"SERVER_ERROR"):
                raise server_error(reply)
        return replies

    def _raise(self, failures: Mapping[Node, Exception]) -> None:
        """Raise the first failure, as that of a node where others are left."""
        self._raise_if_lost(failures)
        for error in failures.values():
            raise NodeLost(str(error)) from error

    def _raise_if_lost(self, failures: Mapping[Node, Exception]) -> None:
        if failures and self._cache.is_lost(failures):
            raise next(iter(failures.values()))


def _check(address: Any) -> None:
    """Refuse what is no address.

    Raises:
        ImproperlyConfigured: LOCATION names one that is none.
    """
    try:
        normalize_server_spec(address)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"LOCATION names {address!r}, which is no address of a server: write host:port, "
            "[::1]:port or unix:/path."
        ) from error
