"""The Memcached servers of one alias: which key lies where, and what the loss of one costs."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from fragcache.backends.base import ServerStats
from fragcache.backends.memcached_client import Connection, Found
from fragcache.backends.memcached_node import ERRORS, Node, position
from fragcache.backends.questions import ask_all

K = TypeVar("K")
T = TypeVar("T")


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
        place = position(base)
        ranked = sorted(self.nodes, key=lambda node: node.score(place))
        return ranked[copy % len(ranked)]

    def exchange(
        self, commands: Mapping[bytes, bytes]
    ) -> tuple[dict[bytes, bytes], dict[Node, Exception]]:
        """Send each key's command to its server; return the replies by key, and what failed."""
        groups = self.grouped(list(commands))
        answers, failures = self._ask(
            {node: [commands[key] for key in keys] for node, keys in groups.items()},
            Connection.read_replies,
        )
        replies = {
            key: reply
            for node, node_replies in answers.items()
            for key, reply in zip(groups[node], node_replies, strict=True)
        }
        return replies, failures

    def retrieve(
        self, command: bytes, names: Mapping[bytes, K]
    ) -> tuple[Found[K], dict[Node, Exception]]:
        """Return what get or gets finds under the keys, by their names, and what failed."""
        answers, failures = self._ask(
            {
                node: [b"%b %b\r\n" % (command, b" ".join(wanted))]
                for node, wanted in self.grouped(list(names)).items()
            },
            lambda connection: connection.read_values(names),
        )
        if len(answers) == 1:
            return answers.popitem()[1], failures
        found: Found[K] = Found({}, {})
        for answer in answers.values():
            found.values.update(answer.values)
            found.cas.update(answer.cas)
        return found, failures

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

    def _ask(
        self, requests: Mapping[Node, Sequence[bytes]], read: Callable[[Connection], T]
    ) -> tuple[dict[Node, T], dict[Node, Exception]]:
        """Send each server its commands, then ``read`` the replies of each."""
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


atexit.register(Fleet.close_all)
