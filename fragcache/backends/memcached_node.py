"""One Memcached server of a fleet: its connections, its moments of failure, its place."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final, TypeVar

from pymemcache.client.base import normalize_server_spec
from pymemcache.exceptions import MemcacheError

from fragcache.backends.memcached_client import Connection

T = TypeVar("T")

ERRORS: Final[tuple[type[Exception], ...]] = (MemcacheError, OSError)

_MASK: Final = 2**64 - 1
#: Odd, from SplitMix64 (Steele, Lea, Flood 2014): spreads what is multiplied over 64 bits.
_SPREAD: Final = 0xBF58476D1CE4E5B9


class Node:
    """One server and the connections to it that nobody uses."""

    def __init__(self, server: Any, options: Mapping[str, Any], dead_timeout: float) -> None:
        spec = normalize_server_spec(server)
        self.address = spec if isinstance(spec, str) else "{}:{}".format(*spec)
        self._seed = position(self.address.encode())
        self._is_down_until = 0.0
        self._dead_timeout = dead_timeout
        self._connect = functools.partial(
            Connection, spec, allow_unicode_keys=True, default_noreply=False, **options
        )
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    def score(self, key_position: int) -> int:
        """Return what decides, by comparison with other servers, whether a key lies here."""
        return (key_position ^ self._seed) * _SPREAD & _MASK

    def borrow(self) -> Connection:
        """Return a connection for the caller alone; it may have to connect first."""
        if self.is_down():
            raise ConnectionError(f"{self.address} failed less than {self._dead_timeout:g} s ago")
        if self._pid != os.getpid():
            # A socket that a fork brought along is the parent's, whose replies it would steal.
            self.close()
            self._pid = os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if connection.is_usable():
                return connection
            connection.close()

    def send(self, commands: Sequence[bytes]) -> Connection:
        """Send commands; return the connection that their replies will arrive on."""
        connection = self.borrow()
        try:
            connection.send(commands)
        except BaseException as error:
            self._give_up(connection, error)
            raise
        return connection

    def receive(self, connection: Connection, read: Callable[[Connection], T]) -> T:
        """Return what ``read`` makes of a connection, which is kept unless that fails."""
        try:
            answer = read(connection)
        except BaseException as error:
            self._give_up(connection, error)
            raise
        self._idle.append(connection)
        return answer

    def call(self, command: Callable[[Connection], T]) -> T:
        """Return what ``command`` returns for a connection to this server."""
        return self.receive(self.borrow(), command)

    def is_down(self) -> bool:
        """Whether the server failed a moment ago, and is not asked again yet."""
        return self._is_down_until > time.monotonic()

    def close(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        connection.close()
        if isinstance(error, ERRORS):
            self._is_down_until = time.monotonic() + self._dead_timeout


def position(data: bytes) -> int:
    """Return where a key or an address lies in a space of 64 bits."""
    return int.from_bytes(blake2b(data, digest_size=8).digest())
