"""Child processes. Each leads a session of its own: Ctrl-C reaches the demo, which stops them."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from runner.errors import DemoError
from runner.signals import wait_until

PATIENCE = 5.0  # seconds from SIGTERM to SIGKILL


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path | None = None

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def end(self) -> str:
        """How it ended, for a message."""
        code = self.process.returncode
        how = (
            f"was stopped by {signal.Signals(-code).name}"
            if code < 0
            else f"ended with exit code {code}"
        )
        return f"{how}, see {self.log}" if self.log else how


class Children:
    """All that the demo started. On exit nothing of it is left, whatever happened."""

    def __init__(self, log_folder: Path) -> None:
        self.log_folder = log_folder
        self.started: list[Child] = []
        self.folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in self.started:
            send(child, signal.SIGTERM)
        for child in reversed(self.started):
            try:
                child.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                send(child, signal.SIGKILL)
                child.process.wait()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def make_folder(self, user: str | None) -> Path:
        """Return a temporary folder of a user, which goes when all are stopped."""
        folder = Path(tempfile.mkdtemp(prefix="fragcache-demo-"))
        self.folders.append(folder)
        if user:
            shutil.chown(folder, user)
        return folder

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        user: str | None = None,
    ) -> Child:
        """Start a server, as another user if need be; its output goes to a log file."""
        log = self.log_folder / f"{name}.log"
        with log.open("wb") as output:
            return self._start(name, command, environment, output=output, log=log, user=user)

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command to its end; its output is shown.

        Raises:
            DemoError: its exit code is not 0.
        """
        child = self._start(name, command, environment)
        wait_until(lambda: not child.is_running)
        if child.process.returncode != 0:
            raise DemoError(f"{name} {child.end}.")

    def _start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        output: IO[bytes] | None = None,
        log: Path | None = None,
        user: str | None = None,
    ) -> Child:
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            # A folder that other users may enter.
            cwd="/" if user else None,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        child = Child(name, process, log)
        self.started.append(child)
        return child


def send(child: Child, signum: signal.Signals) -> None:
    """Send a signal to the child and all that it started itself."""
    if child.is_running:
        os.killpg(child.process.pid, signum)
