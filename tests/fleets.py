"""Redis Sentinel and Redis Cluster on this machine: nodes, their settling, their failovers."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis as Client
from redis.exceptions import RedisError

from tests.processes import Redis, Server, ServerFailed, free_port
from tests.servers import Servers

#: Seconds for which a fleet may take to settle.
PATIENCE = 20
SERVICE = "fragments"
SLOTS = 16_384
#: Milliseconds after which a node that does not answer is taken for dead.
NODE_TIMEOUT = 400


class Node(Redis):
    """A server with replicas, which it does not keep waiting."""

    def command(self) -> list[str]:
        return [*super().command(), "--repl-diskless-sync-delay", "0"]


class Sentinel(Redis):
    """One that watches the service; it keeps what it learns in its configuration."""

    primary: Server
    replica: Server
    others: list[Sentinel]

    @property
    def id(self) -> str:
        return f"{self.port:040x}"

    def command(self) -> list[str]:
        conf = self.directory / "sentinel.conf"
        if not conf.exists():
            conf.write_text(
                f"port {self.port}\n"
                "bind 127.0.0.1\n"
                f"dir {self.directory}\n"
                f"sentinel myid {self.id}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {NODE_TIMEOUT}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
                # As it would have found out in some seconds.
                f"sentinel known-replica {SERVICE} 127.0.0.1 {self.replica.port}\n"
                + "".join(
                    f"sentinel known-sentinel {SERVICE} 127.0.0.1 {other.port} {other.id}\n"
                    for other in self.others
                )
            )
        return [str(self.program), str(conf), "--sentinel"]


class ClusterNode(Node):
    """A node of a cluster, as the reference of the backend says that it is to be configured."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.bus_port = free_port()

    def command(self) -> list[str]:
        return [
            *super().command(),
            *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
            *("--cluster-port", str(self.bus_port)),
            *("--cluster-node-timeout", str(NODE_TIMEOUT)),
            *("--cluster-require-full-coverage", "no"),
        ]


class SentinelFleet:
    """A primary, a replica, and three Sentinels of which two decide."""

    def __init__(self, servers: Servers) -> None:
        self.nodes: list[Server] = [servers.new(Node) for _ in range(2)]
        primary, replica = self.nodes
        primary.start()
        replica.start()
        ask(replica).replicaof("127.0.0.1", primary.port)
        until(lambda: ask(replica).info("replication")["master_link_status"] == "up")
        self.sentinels = [servers.new(Sentinel) for _ in range(3)]
        for sentinel in self.sentinels:
            assert isinstance(sentinel, Sentinel)
            sentinel.primary, sentinel.replica = primary, replica
            sentinel.others = [other for other in self.sentinels if other is not sentinel]
        for sentinel in self.sentinels:
            sentinel.start()
        until(self.is_whole)

    @property
    def cache(self) -> dict[str, Any]:
        """The entry of CACHES, as the reference shows it."""
        return {
            "BACKEND": "fragcache.backends.redis.RedisCache",
            "LOCATION": f"redis://{SERVICE}/0",
            "OPTIONS": {"SENTINELS": [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]},
        }

    @property
    def primary(self) -> Server:
        """The node that the Sentinels call the primary."""
        port = int(self._state()["port"])
        return next(node for node in self.nodes if node.port == port)

    @property
    def replica(self) -> Server:
        return next(node for node in self.nodes if node is not self.primary)

    def restore(self) -> None:
        """Bring everything back; Sentinels would take ten seconds to make a replica of a node."""
        for server in (*self.nodes, *self.sentinels):
            if server.process is None:
                server.start()
            server.thaw()
        primary, replica = self.primary, self.replica
        if replication_of(primary)["role"] == replication_of(replica)["role"] == "master":
            ask(replica).replicaof("127.0.0.1", primary.port)

    def is_whole(self) -> bool:
        """Whether all Sentinels know each other, and the replica follows the primary."""
        states = [
            ask(sentinel).sentinel_masters()[SERVICE]
            for sentinel in self.sentinels
            if sentinel.process is not None
        ]
        return (
            all(
                state["num-other-sentinels"] == 2
                and state["num-slaves"] == 1
                and state["flags"] == "master"
                for state in states
            )
            and len({state["port"] for state in states}) == 1
            and is_following(self.replica)
        )

    def _state(self) -> dict[str, Any]:
        running = next(sentinel for sentinel in self.sentinels if sentinel.process is not None)
        state: dict[str, Any] = ask(running).sentinel_masters()[SERVICE]
        return state


class ClusterFleet:
    """Three primaries with a third of the slots each, and a replica of each."""

    def __init__(self, servers: Servers) -> None:
        nodes = [servers.new(ClusterNode) for _ in range(6)]
        self.nodes: list[Server] = list(nodes)
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait()
        for epoch, node in enumerate(nodes, 1):
            ask(node).execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for one, other in itertools.permutations(nodes, 2):
            ask(one).execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
        # As `redis-cli --cluster create` shares them out.
        for node, low, high in zip(nodes, (0, 5461, 10923), (5460, 10922, SLOTS - 1), strict=False):
            ask(node).execute_command("CLUSTER", "ADDSLOTSRANGE", low, high)
        ids = [str(ask(node).execute_command("CLUSTER", "MYID"), "ascii") for node in nodes]
        until(lambda: all(info_of(node)["cluster_known_nodes"] == "6" for node in nodes))
        for replica, primary in zip(nodes[3:], ids, strict=False):
            until(lambda: is_done(replica, "CLUSTER", "REPLICATE", primary))  # noqa: B023
        until(self.is_whole)

    @property
    def locations(self) -> list[str]:
        return [f"redis://127.0.0.1:{node.port}" for node in self.nodes]

    @property
    def cache(self) -> dict[str, Any]:
        """The entry of CACHES, as the reference shows it."""
        return {
            "BACKEND": "fragcache.backends.redis_cluster.RedisClusterCache",
            "LOCATION": self.locations,
        }

    @property
    def primaries(self) -> list[Server]:
        return [node for node in self.nodes if role_of(node) == "master"]

    def replica_of(self, primary: Server) -> Server:
        return next(
            node
            for node in self.nodes
            if (found := replication_of(node)) and found.get("master_port") == primary.port
        )

    def lose(self, primary: Server) -> None:
        """Kill a primary whose replica may not take over, until `restore`."""
        ask(self.replica_of(primary)).config_set("cluster-replica-no-failover", "yes")
        primary.stop(signal.SIGKILL)

    def restore(self) -> None:
        """Bring everything back, without the two seconds that a primary takes for starting."""
        for node in self.nodes:
            if node.process is not None:
                node.thaw()
        for node in [node for node in self.nodes if node.process is None]:
            for replica in self.nodes:
                if replication_of(replica).get("master_port") == node.port:
                    ask(replica).execute_command("CLUSTER FAILOVER", "TAKEOVER")
            node.start()
        for node in self.nodes:
            ask(node).config_set("cluster-replica-no-failover", "no")

    def is_whole(self) -> bool:
        """Whether three primaries are followed by a replica each, and all agree on that."""
        views = {view_of(node) for node in self.nodes}
        return (
            len(views) == 1
            and len(self.primaries) == 3
            and all(info_of(node)["cluster_state"] == "ok" for node in self.nodes)
            and all(is_following(node) for node in self.nodes if role_of(node) == "slave")
        )


def ask(server: Server) -> Any:
    """Return a client of one server, which does not try again."""
    return Client(port=server.port, socket_timeout=1, retry=None, protocol=2)


def until(holds: Callable[[], bool]) -> float:
    """Return after how many seconds something held."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + PATIENCE, "it does not settle"
        time.sleep(0.02)
    return time.monotonic() - began


def stop_all(servers: Servers) -> None:
    """Kill the nodes, which have nothing to put in order."""
    for server in servers._started:
        server.stop(signal.SIGKILL)
    servers.stop()


def role_of(server: Server) -> str | None:
    found = replication_of(server)
    return found["role"] if found else None


def replication_of(server: Server) -> dict[str, Any]:
    """Return what a server says of itself, nothing where it does not run."""
    try:
        found: dict[str, Any] = ask(server).info("replication")
    except RedisError:
        return {}
    return found


def is_following(replica: Server) -> bool:
    return replication_of(replica).get("master_link_status") == "up"


def until_replicated(primary: Server, replica: Server) -> None:
    """Wait until the replica has what its primary has told those that wrote until now."""
    written = replication_of(primary)["master_repl_offset"]
    until(lambda: replication_of(replica).get("slave_repl_offset", 0) >= written)


def info_of(node: Server) -> dict[str, Any]:
    found: dict[str, Any] = ask(node).execute_command("CLUSTER INFO")
    return found


def view_of(node: Server) -> str:
    """Return which node serves what, and who replicates it, as one node sees it."""
    ranges = ask(node).execute_command("CLUSTER SLOTS")
    return str(sorted((low, high, sorted(map(str, nodes))) for low, high, *nodes in _plain(ranges)))


def _plain(ranges: Any) -> list[list[Any]]:
    if isinstance(ranges, dict):  # as redis-py parses it
        return [
            [low, high, found["primary"], *found["replicas"]]
            for (low, high), found in ranges.items()
        ]
    return [[low, high, *(node[1] for node in nodes)] for low, high, *nodes in ranges]


def is_done(node: Server, *command: str) -> bool:
    try:
        ask(node).execute_command(*command)
    except RedisError:
        return False
    return True


def fleet_of(kind: Callable[[Servers], Any]) -> Iterator[Any]:
    """Yield a fleet for a fixture; skip where there is no binary."""
    servers = Servers()
    try:
        yield kind(servers)
    except ServerFailed as error:
        pytest.skip(str(error))
    finally:
        stop_all(servers)
