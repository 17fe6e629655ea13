"""The nodes of a Redis Cluster in bulk, and what the loss of one costs.

redis-py's own pipeline waits for a node that fails, tries again for seconds, and then fails as a
whole.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fragcache import deadline
from fragcache.backends.base import ServerStats
from fragcache.backends.questions import PATIENCE, ask_all
from fragcache.backends.redis_figures import figures
from fragcache.backends.redis_pipeline import Command, receive, send
from fragcache.backends.redis_topology import Node, Topology, address
from fragcache.breaker import Breaker
from fragcache.locks import new_lock

#: What a node fails with.
ERRORS: Final = (RedisConnectionError, RedisTimeoutError, OSError)
#: Seconds after which a time-out tells of the node; after less, of a page that had no time left.
_TELLING: Final = 0.05
#: Seconds for which a node is waited for that may be back.
_PROBE_SECONDS: Final = 0.5
#: In place of the name of a node: that of the slots that nobody serves.
_NOBODY: Final = ""

#: A command and the key it is sent for; None where its reply is of no interest.
Request = tuple[bytes | None, Command]


class Nodes:
    """The nodes of one alias, for all threads of a process.

    A node that fails is left alone until it answers again, or another has taken its slots over; a
    thread looks after that. Its keys have failed in the meantime.
    """

    _all: ClassVar[dict[str, Nodes]] = {}

    def __init__(self, urls: Sequence[str], options: Mapping[str, Any]) -> None:
        self._urls = urls
        self._options = options
        self._topology: Topology | None = None
        self._breakers: dict[str, Breaker] = {}
        self._lock = new_lock()

    @classmethod
    def shared(cls, urls: Sequence[str], options: Mapping[str, Any]) -> Nodes:
        """Return the process's nodes of these addresses and options."""
        identity = repr((list(urls), sorted(options.items())))
        return cls._all.setdefault(identity, cls(urls, options))

    @classmethod
    def forget_all(cls) -> None:
        """Close all connections; who asks again finds the nodes anew."""
        while cls._all:
            _identity, nodes = cls._all.popitem()
            if nodes._topology is not None:
                nodes._topology.close()

    def exchange(
        self, commands: Mapping[bytes, Command]
    ) -> tuple[dict[bytes, Any], dict[bytes, Exception]]:
        """Send each key's command to its node; return the replies, and what failed, by key.

        What a node that works refuses is among the replies.

        Raises:
            redis.exceptions.ConnectionError: no node is left.
        """
        batch = _Batch(self, self.topology)
        batch.ask(commands)
        batch.follow(commands)
        for key in [key for key, reply in batch.replies.items() if _is_of_nobody(reply)]:
            batch.failures[key] = batch.replies.pop(key)
        if batch.failures and not batch.replies and self._is_lost(batch.failures):
            error = next(iter(batch.failures.values()))
            raise RedisConnectionError(f"No node of the cluster answers: {error}") from error
        return batch.replies, batch.failures

    def flush(self) -> None:
        """Remove everything from every primary."""
        for node in self.topology.primaries:
            _client(node).flushdb()

    def server_stats(self) -> list[ServerStats]:
        """Return the figures of each node, replicas too; where none answers, of LOCATION's."""
        began = time.monotonic()
        try:
            with deadline.within(PATIENCE / 2):  # one after the other, by who asks first
                nodes = self.topology.nodes
        except ERRORS as error:
            places = ("{}:{}".format(*address(url)) for url in self._urls)
            return [ServerStats(address=place, error=str(error)) for place in places]
        questions = {node.name: functools.partial(figures, _client(node)) for node in nodes}
        return ask_all(questions, PATIENCE - (time.monotonic() - began))

    @property
    def topology(self) -> Topology:
        """Who serves what; found when it is first asked for."""
        if self._topology is None:
            with self._lock:
                if self._topology is None:
                    self._topology = Topology(self._urls, self._options)
        return self._topology

    def breaker(self, node: Node | None) -> Breaker:
        """Return what tells whether a node is left alone; None is that of slots without one."""
        name = _NOBODY if node is None else node.name
        breaker = self._breakers.get(name)
        if breaker is None:
            label = f"the Redis node {name}" if name else "slots without a Redis node"
            made = Breaker(label, functools.partial(self._probe, name))
            breaker = self._breakers.setdefault(name, made)
        return breaker

    def _is_lost(self, failures: Mapping[bytes, Exception]) -> bool:
        """Whether no primary is left, or those that are say that the cluster is down."""
        return all(isinstance(error, ClusterDownError) for error in failures.values()) or all(
            self.breaker(node).open_since is not None for node in self.topology.primaries
        )

    def _probe(self, name: str) -> None:
        """Learn who serves what now; raise an exception if whoever it is does not answer."""
        topology = self.topology
        topology.refresh()
        if name == _NOBODY:
            if not topology.is_whole:
                raise RedisConnectionError("There are slots that no node serves.")
            return
        for node in topology.primaries:
            if node.name == name:
                with deadline.within(_PROBE_SECONDS):
                    _client(node).ping()


class _Batch:
    """The commands of one call: what they are answered with, and which fail."""

    def __init__(self, nodes: Nodes, topology: Topology) -> None:
        self.replies: dict[bytes, Any] = {}
        self.failures: dict[bytes, Exception] = {}
        self._nodes = nodes
        self._topology = topology

    def ask(self, commands: Mapping[bytes, Command]) -> None:
        """Ask whoever serves the keys, but those that are left alone."""
        requests: dict[Node | None, list[Request]] = {}
        find = self._topology.node_of
        for key, command in commands.items():
            requests.setdefault(find(key), []).append((key, command))
        sound: dict[Node, list[Request]] = {}
        for node, asked in requests.items():
            if node is None:
                self._fail(node, asked, RedisConnectionError("no node serves its slot"))
            elif self._nodes.breaker(node).allows():
                sound[node] = asked
            else:
                error = RedisConnectionError(f"{node.name} is not asked until it answers again")
                self.failures.update(dict.fromkeys(_keys(asked), error))
        self._exchange(sound)

    def follow(self, commands: Mapping[bytes, Command]) -> None:
        """Ask once more where a node has named another one."""
        requests: dict[Node, list[Request]] = {}
        for key, reply in self.replies.items():
            if isinstance(reply, AskError):
                asked = requests.setdefault(self._topology.node_named_by(reply), [])
                if not isinstance(reply, MovedError):
                    asked.append((None, ("ASKING",)))
                asked.append((key, commands[key]))
        self._exchange(requests)

    def _exchange(self, requests: Mapping[Node, Sequence[Request]]) -> None:
        """Send each node its commands, then read what each replies."""
        sent: dict[Node, Any] = {}
        try:
            for node, asked in requests.items():
                began = _waited_in_vain()
                try:
                    sent[node] = _client(node).connection_pool.get_connection()
                    send(sent[node], [command for _key, command in asked])
                except ERRORS as error:
                    _give_up(node, sent.pop(node, None))
                    self._fail(node, asked, error, _waited_in_vain() - began)
            for node in list(sent):
                self._receive(node, sent, requests[node])
        finally:
            # Nobody may get the replies that were not read.
            for node, connection in sent.items():
                _give_up(node, connection)

    def _receive(self, node: Node, sent: dict[Node, Any], asked: Sequence[Request]) -> None:
        began = _waited_in_vain()
        try:
            answers = receive(sent[node], len(asked))
        except ERRORS as error:
            _give_up(node, sent.pop(node))
            self._fail(node, asked, error, _waited_in_vain() - began)
            return
        _client(node).connection_pool.release(sent.pop(node))
        self._nodes.breaker(node).succeed()
        for (key, _command), answer in zip(asked, answers, strict=True):
            if key is not None:
                self.replies[key] = answer

    def _fail(
        self,
        node: Node | None,
        asked: Iterable[Request],
        error: Exception,
        waited: float = _TELLING,
    ) -> None:
        for key in _keys(asked):
            self.failures[key] = error
            self.replies.pop(key, None)
        breaker = self._nodes.breaker(node)
        if waited >= _TELLING or not isinstance(error, RedisTimeoutError):
            breaker.fail(was_waited_for=True)
        else:
            breaker.doubt()


def _waited_in_vain() -> float:
    """Return the seconds for which servers have kept this call waiting, or just the time."""
    limit = deadline.current()
    return time.monotonic() if limit is None else limit.in_vain


def _is_of_nobody(reply: Any) -> bool:
    """Whether a reply says that nobody can serve the key at the moment."""
    return isinstance(reply, (AskError, ClusterDownError, TryAgainError))


def _keys(asked: Iterable[Request]) -> list[bytes]:
    return [key for key, _command in asked if key is not None]


def _client(node: Node) -> Any:
    """Return redis-py's client of one node, whose pool all threads share."""
    return node.redis_connection


def _give_up(node: Node, connection: Any) -> None:
    if connection is not None:
        connection.disconnect()
        _client(node).connection_pool.release(connection)
