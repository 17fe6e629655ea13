"""Pytest plugin: the servers are up before Django's settings are read.

pytest-django reads the settings in `pytest_load_initial_conftests`, earlier than any
conftest.py is; hence a plugin, loaded by ``addopts = "-p tests.plugin"``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator

import hypothesis
import pytest

from tests import unpickling
from tests.processes import KINDS, PostgreSQL, Server, ServerFailed
from tests.servers import External, Missing, Servers, program_version

BY_NAME = {kind.name: kind for kind in KINDS}
servers_key = pytest.StashKey[Servers]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    options = early_config.known_args_namespace
    # Under pytest-xdist each worker has servers of its own, which tests flush and freeze.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if is_worker or not (options.help or options.version or getattr(options, "numprocesses", 0)):
        start_servers(early_config)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Let one worker alone use servers that were there before: tests flush them."""
    return 1 if any(kind.variable in os.environ for kind in KINDS) else None


def start_servers(config: pytest.Config) -> None:
    servers = Servers()
    config.stash[servers_key] = servers
    config.add_cleanup(servers.stop)
    servers.start(*(kind for kind in KINDS if is_wanted(kind)))
    for name, found in servers.found.items():
        if isinstance(found, Server):
            os.environ[BY_NAME[name].variable] = found.address
    os.environ["FRAGCACHE_TEST_DIRECTORY"] = str(servers.directory)
    missing = [found.reason for found in servers.found.values() if isinstance(found, Missing)]
    if missing and os.environ.get("FRAGCACHE_REQUIRE_SERVERS") == "1":
        raise pytest.UsageError("FRAGCACHE_REQUIRE_SERVERS=1: " + " ".join(missing))


def is_wanted(kind: type[Server]) -> bool:
    return kind is not PostgreSQL or os.environ.get("FRAGCACHE_TEST_DB") != "sqlite"


def pytest_configure(config: pytest.Config) -> None:
    unpickling.install()
    config.addinivalue_line("markers", "server(name): needs redis, memcached or postgresql")
    if sys.version_info < (3, 13):
        # Its ssl leaves a socket open whose peer has reset it before it is wrapped, as with a guard
        # that asks while a test of TLS ends: https://github.com/python/cpython/issues/113280
        left_open = r"Exception ignored in. <ssl\.SSLSocket"
        config.addinivalue_line(
            "filterwarnings", f"ignore:{left_open}:pytest.PytestUnraisableExceptionWarning"
        )
    # Real servers and coverage make the first example of a property slow, not the property.
    hypothesis.settings.register_profile("fragcache", deadline=None)
    hypothesis.settings.load_profile("fragcache")


def pytest_report_header(config: pytest.Config) -> list[str]:
    servers = config.stash.get(servers_key, None)
    return [] if servers is None else [describe(*item) for item in servers.found.items()]


def describe(name: str, found: Server | External | Missing) -> str:
    if isinstance(found, Missing):
        return f"{name}: MISSING, its tests are skipped. {found.reason}"
    version = f" {program_version(found.program)}" if isinstance(found, Server) else ""
    return f"{name}:{version} at {found.address} ({found.origin})"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("server"):
        require(item.config, *marker.args)


def require(config: pytest.Config, name: str) -> str:
    """Return the address of a server, or skip the test that needs it."""
    kind = BY_NAME[name]
    if address := os.environ.get(kind.variable):
        return address
    servers = config.stash.get(servers_key, None)
    found = servers.found.get(name) if servers else None
    pytest.skip(found.reason if isinstance(found, Missing) else f"{name} is not in use")


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> str:
    return require(pytestconfig, "redis")


@pytest.fixture(scope="session")
def memcached_address(pytestconfig: pytest.Config) -> str:
    return require(pytestconfig, "memcached")


@pytest.fixture(scope="session")
def postgresql_url(pytestconfig: pytest.Config) -> str:
    return require(pytestconfig, "postgresql")


@pytest.fixture
def start_server() -> Iterator[Callable[[str], Server]]:
    """A function that starts a server of the test's own, to freeze, stop or kill: by its name."""
    servers = Servers()

    def start(name: str) -> Server:
        try:
            server = servers.new(BY_NAME[name])
        except ServerFailed as error:
            pytest.skip(str(error))
        server.start()
        return server

    yield start
    servers.stop()
