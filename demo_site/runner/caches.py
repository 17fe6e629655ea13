"""The cache between the two sites: a file, or a server that is named, found or started."""

import getpass
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runner.errors import DemoError
from runner.ports import LOOPBACK, free_port, reply
from runner.processes import Children
from runner.programs import found_program
from runner.signals import wait_until


@dataclass(frozen=True, kw_only=True)
class Server:
    """A kind of cache server, and what is needed to find or start one."""

    name: str
    variable: str  # of the environment, for an address
    address: Callable[[str, int], str]
    standard_port: int
    question: bytes
    answers: tuple[bytes, ...]
    binaries: Sequence[str]
    arguments: Callable[[int], list[str]]
    install: str

    def is_at(self, host: str, port: int) -> bool:
        return reply(host, port, self.question).startswith(self.answers)


REDIS = Server(
    name="Redis",
    variable="DEMO_REDIS_URL",
    address=lambda host, port: f"redis://{host}:{port}/0",
    standard_port=6379,
    question=b"PING\r\n",
    answers=(b"+PONG", b"-NOAUTH"),
    binaries=["redis-server", "valkey-server"],
    arguments=lambda port: [
        "--bind",
        LOOPBACK,
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
    ],
    install="apt-get install redis-server, brew install redis",
)
MEMCACHED = Server(
    name="Memcached",
    variable="DEMO_MEMCACHED",
    address=lambda host, port: f"{host}:{port}",
    standard_port=11211,
    question=b"version\r\n",
    answers=(b"VERSION",),
    binaries=["memcached"],
    arguments=lambda port: ["-l", LOOPBACK, "-p", str(port), "-U", "0", "-u", getpass.getuser()],
    install="apt-get install memcached, brew install memcached",
)
SERVERS = {"redis": REDIS, "memcached": MEMCACHED}
CACHES = ["embedded", *SERVERS]


def prepared_cache(cache: str, children: Children, var: Path) -> dict[str, str]:
    """Return the environment by which both sites find the cache, and say which one it is.

    Raises:
        DemoError: there is no such server, and none can be started.
    """
    if cache == "embedded":
        print(f"Cache: {var / 'fragments.sqlite3'}, a file that both sites share.")
        return {"DEMO_CACHE": cache}
    server = SERVERS[cache]
    address, origin = found_server(server) or started_server(server, children)
    print(f"Cache: {server.name} at {address}, {origin}.")
    return {"DEMO_CACHE": cache, server.variable: address}


def found_server(server: Server) -> tuple[str, str] | None:
    named = os.environ.get(server.variable)
    if not named:
        is_running = server.is_at(LOOPBACK, server.standard_port)
        return (
            (server.address(LOOPBACK, server.standard_port), "found running")
            if is_running
            else None
        )
    parts = urlsplit(named if "://" in named else f"//{named}")
    if parts.hostname and not server.is_at(parts.hostname, parts.port or server.standard_port):
        raise DemoError(f"No {server.name} answers at {server.variable}={named}.")
    return named, f"named by {server.variable}"


def started_server(server: Server, children: Children) -> tuple[str, str]:
    binary = found_program(*server.binaries)
    if binary is None:
        raise DemoError(
            f"No {server.name}: nothing answers on port {server.standard_port}, and "
            f"{server.binaries[0]} is not installed. Install it ({server.install}) or name a "
            f"server: {server.variable}={server.address('host', server.standard_port)}"
        )
    port = free_port()
    child = children.start(server.name.lower(), [binary, *server.arguments(port)], {})
    wait_until(
        lambda: not child.is_running or server.is_at(LOOPBACK, port),
        seconds=15,
        otherwise=f"{binary} does not answer on port {port}, see {child.log}.",
    )
    if not child.is_running:
        raise DemoError(f"{binary} {child.end}.")
    return server.address(LOOPBACK, port), "started for the demo"
