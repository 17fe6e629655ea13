"""Who serves which slot of a Redis Cluster, as redis-py finds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis import cluster, connection
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    MovedError,
    RedisClusterException,
    SlotNotCoveredError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from fragcache.backends.redis_client import CONNECTION_DEFAULTS, TIMED
from fragcache.backends.redis_slots import slot_of

# Half of what is used of them has no annotations.
_redis_cluster: Final[Any] = cluster.RedisCluster
_cluster_node: Final[Any] = cluster.ClusterNode
_parse_url: Final[Any] = connection.parse_url

Node = cluster.ClusterNode


class Topology:
    """The nodes of a cluster, each with its pool of connections.

    Raises:
        redis.exceptions.ConnectionError: none of the addresses answers.
    """

    def __init__(self, urls: Sequence[str], options: Mapping[str, Any]) -> None:
        first, *others = urls
        kind = _parse_url(first).get("connection_class", connection.Connection)
        try:
            self._cluster: Any = _redis_cluster(
                url=first,
                startup_nodes=[_cluster_node(*address(url)) for url in others],
                retry=Retry(NoBackoff(), 0),
                require_full_coverage=False,
                **{
                    "connection_class": TIMED.get(kind, kind),
                    "protocol": CONNECTION_DEFAULTS["protocol"],
                    **options,
                },
            )
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error
        self._manager: Any = self._cluster.nodes_manager

    @property
    def nodes(self) -> list[Node]:
        """All nodes, replicas too."""
        found: list[Node] = self._cluster.get_nodes()
        return found

    @property
    def primaries(self) -> list[Node]:
        """Those that serve slots."""
        found: list[Node] = self._cluster.get_primaries()
        return found

    @property
    def is_whole(self) -> bool:
        """Whether each slot is served."""
        return bool(self._manager.check_slots_coverage(self._manager.slots_cache))

    def node_of(self, key: bytes) -> Node | None:
        """Return the node that serves a key."""
        try:
            node: Node = self._manager.get_node_from_slot(slot_of(key))
        except SlotNotCoveredError:
            return None
        return node

    def node_named_by(self, redirection: AskError) -> Node:
        """Return the node that another has named; after a MOVED it serves the slot from now on."""
        if isinstance(redirection, MovedError):
            self._manager.move_slot(redirection)
            node: Node = self._manager.get_node_from_slot(redirection.slot_id)
        else:
            host, port = redirection.host, redirection.port
            node = self._manager.get_node(host, port) or _cluster_node(host, port)
        self._cluster.get_redis_connection(node)  # a node that was not known has none yet
        return node

    def refresh(self) -> None:
        """Ask the nodes, one after the other, who serves what now."""
        try:
            self._manager.initialize()
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error

    def close(self) -> None:
        """Close all connections."""
        self._cluster.close()


def address(url: str) -> tuple[str, int]:
    """Return host and port of a URL, which may hold a password as well."""
    parts = _parse_url(url)
    return parts.get("host", "localhost"), parts.get("port", 6379)
