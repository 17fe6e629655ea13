"""The Memcached servers of one alias: which key lies where, and what the loss of one costs."""

from __future__ import annotations

import atexit
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, ClassVar, Final, TypeVar

from pymemcache.client.base import normalize_server_spec
from pymemcache.exceptions import MemcacheError

from fragcache.backends.base import ServerStats
from fragcache.backends.memcached_client import Connection
from fragcache.backends.questions import ask_all

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
        self.seed = _hash(self.address.encode())
        self._is_down_until = 0.0
        self._dead_timeout = dead_timeout
        self._connect = functools.partial(
            Connection, spec, allow_unicode_keys=True, default_noreply=False, **options
        )
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    def borrow(self) -> Connection:
        """Return a connection for the caller alone; it may have to connect first."""
        if self.is_down():
            raise ConnectionError(f"{self.address} failed less than {self._dead_timeout:g} s ago")
        if self._pid != os.getpid():
            # A socket that a fork brought along is the parent's, whose replies it would steal.
            self.close()
            self._pid = os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if connection.is_usable():
                return connection
            connection.close()
        return self._connect()

    def send(self, commands: Sequence[bytes]) -> Connection:
        """Send commands; return the connection that their replies will arrive on."""
        connection = self.borrow()
        with self._closed_on_failure(connection):
            connection.send(commands)
        return connection

    def receive(self, connection: Connection, read: Callable[[Connection], T]) -> T:
        """Return what ``read`` makes of a connection, which is kept unless that fails."""
        with self._closed_on_failure(connection):
            answer = read(connection)
        self._idle.append(connection)
        return answer

    def call(self, command: Callable[[Connection], T]) -> T:
        """Return what ``command`` returns for a connection to this server."""
        return self.receive(self.borrow(), command)

    def is_down(self) -> bool:
        """Whether the server failed a moment ago, and is not asked again yet."""
        return self._is_down_until > time.monotonic()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _closed_on_failure(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            connection.close()
            if isinstance(error, ERRORS):
                self._is_down_until = time.monotonic() + self._dead_timeout
            raise


class Fleet:
    """The servers of one alias, for all threads of a process.

    Keys of a server that fails are not moved to another: they are absent, and refused, until it
    answers again, so that its return brings nothing back that was replaced elsewhere.
    """

    _all: ClassVar[dict[str, Fleet]] = {}

    def __init__(
        self, servers: Sequence[Any], options: Mapping[str, Any], dead_timeout: float
    ) -> None:
        # With one server the page's own guard knows when to leave it alone.
        pause = dead_timeout if len(servers) > 1 else 0.0
        self.nodes = [Node(server, options, pause) for server in servers]

    @classmethod
    def shared(
        cls, servers: Sequence[Any], options: Mapping[str, Any], dead_timeout: float
    ) -> Fleet:
        """Return the process's fleet of these servers and options."""
        identity = repr((list(servers), sorted(options.items()), dead_timeout))
        return cls._all.setdefault(identity, cls(servers, options, dead_timeout))

    @classmethod
    def close_all(cls) -> None:
        for fleet in cls._all.values():
            for node in fleet.nodes:
                node.close()

    def grouped(self, keys: Sequence[bytes]) -> Mapping[Node, Sequence[bytes]]:
        """Return the keys of each server."""
        if len(self.nodes) == 1:
            return {self.nodes[0]: keys} if keys else {}
        groups: dict[Node, list[bytes]] = {}
        for key in keys:
            groups.setdefault(self.node_of(key), []).append(key)
        return groups

    def node_of(self, key: bytes) -> Node:
        """Return the server of a key, by rendezvous hashing (Thaler and Ravishankar 1998).

        Keys that differ in a last ``#0``, ``#1``, ... lie on as many different servers.
        """
        if len(self.nodes) == 1:
            return self.nodes[0]
        base, copy = (key[:-2], key[-1] - ord("0")) if key[-2:-1] == b"#" else (key, 0)
        position = _hash(base)
        ranked = sorted(self.nodes, key=lambda node: (position ^ node.seed) * _SPREAD & _MASK)
        return ranked[copy % len(ranked)]

    def ask(
        self, requests: Mapping[Node, Sequence[bytes]], read: Callable[[Connection], T]
    ) -> tuple[dict[Node, T], dict[Node, Exception]]:
        """Send each server its commands, then ``read`` the replies of each.

        Return what was read, and what failed.
        """
        sent: dict[Node, Connection] = {}
        answers: dict[Node, T] = {}
        failures: dict[Node, Exception] = {}
        for node, commands in requests.items():
            try:
                sent[node] = node.send(commands)
            except ERRORS as error:
                failures[node] = error
        for node, connection in sent.items():
            try:
                answers[node] = node.receive(connection, read)
            except ERRORS as error:
                failures[node] = error
        return answers, failures

    def is_lost(self, failures: Iterable[Node]) -> bool:
        """Whether no server is left beside those that failed."""
        failed = set(failures)
        return all(node in failed or node.is_down() for node in self.nodes)

    # What BaseMemcachedCache of Django calls, one key at a time.

    def incr(self, key: str, delta: int) -> int | None:
        counted: int | None = self._call(key, lambda connection: connection.incr(key, delta))
        return counted

    def decr(self, key: str, delta: int) -> int | None:
        counted: int | None = self._call(key, lambda connection: connection.decr(key, delta))
        return counted

    def delete(self, key: str) -> bool:
        return bool(self._call(key, lambda connection: connection.delete(key)))

    def flush_all(self) -> None:
        for node in self.nodes:
            node.call(Connection.flush_all)

    def server_stats(self) -> list[ServerStats]:
        """Return the figures of each server, by connections of their own."""
        return ask_all({node.address: functools.partial(_figures, node) for node in self.nodes})

    def get_stats(self) -> list[tuple[bytes, dict[str, str]]]:
        """Return the figures as django-memcache-status 2.3 takes them, a failure among them."""
        return [
            (
                stats.address.encode(),
                {"error": stats.error} if stats.error else _as_texts(stats.figures),
            )
            for stats in self.server_stats()
        ]

    def _call(self, key: str, command: Callable[[Connection], T]) -> T:
        return self.node_of(key.encode()).call(command)


def _figures(node: Node) -> dict[str, Any]:
    figures = node.call(Connection.stats)
    return {name.decode(): figure for name, figure in figures.items()}


def _as_texts(figures: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: figure.decode() if isinstance(figure, bytes) else str(figure)
        for name, figure in figures.items()
    }


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())


atexit.register(Fleet.close_all)
