"""The demo as a user has it: processes, ports, pages."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.processes import free_port

DEMO_SITE = Path(__file__).resolve().parents[2] / "demo_site"
PATIENCE = 60
WARM = """
from django.core.management import call_command
call_command("warm_fragments", "courses", "--json")
"""


def environment(var: Path, **changes: str) -> dict[str, str]:
    """Return this process's environment without what leads to other settings or servers."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DEMO_", "DJANGO_", "FRAGCACHE_", "COV_"))
    }
    return kept | {"DEMO_VAR": str(var)} | changes


def manage(var: Path, *arguments: str, site: Path = DEMO_SITE, **changes: str) -> str:
    """Run a management command of the demo, or of a copy of it, and return its output."""
    finished = subprocess.run(
        [sys.executable, str(site / "manage.py"), *arguments],
        env=environment(var, **changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def warm(var: Path, site: Path = DEMO_SITE, *, after: str = "") -> dict[str, dict[str, Any]]:
    """Warm the courses, after a change by the ORM, and return the counts by fragment."""
    if after:
        script = f"from courses.models import *\n{after}\n{WARM}"
        output = manage(var, "shell", "--verbosity=0", "-c", script, site=site)
    else:
        output = manage(var, "warm_fragments", "courses", "--json", site=site)
    fragments: dict[str, dict[str, Any]] = json.loads(output)["fragments"]
    return fragments


class Demo:
    """`demo.py` on free ports, with its files in a folder of the test's own."""

    def __init__(self, var: Path, *arguments: str, **changes: str) -> None:
        self.var = var
        self.source_port, self.target_port = free_port(), free_port()
        self.output = ""
        command = [
            *(sys.executable, str(DEMO_SITE / "demo.py")),
            *(f"--source-port={self.source_port}", f"--target-port={self.target_port}"),
            *arguments,
        ]
        self.process = subprocess.Popen(
            command,
            env=environment(var, **changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, text: str) -> None:
        """Read lines until one contains the text, or the output ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"{text!r} is not in:\n{self.output}")

    def pid(self, site: str) -> int:
        [pid] = processes(self.var, f"DEMO_SITE={site}")
        return pid

    def source(self, path: str) -> str:
        return page(self.source_port, path)

    def target(self, path: str) -> str:
        return page(self.target_port, path)

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self.output += rest
        return self.process.returncode


def page(port: int, path: str) -> str:
    """Return a page, whatever its status."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def texts(html: str, element: str) -> list[str]:
    """Return the text of each such element, without tags."""
    found = re.findall(rf"<{element}\b[^>]*>(.*?)</{element}>", html, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", inner).strip() for inner in found]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes(var: Path, *marks: str) -> dict[int, str]:
    """Return the command lines, by pid, of the processes with these marks in their environment."""
    wanted = {mark.encode() for mark in (f"DEMO_VAR={var}", *marks)}
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def left_running(demo: Demo) -> list[str]:
    """Return what of a demo still runs, after a moment for the system to clean up."""
    for _ in range(20):
        ports = [
            f"port {port}" for port in (demo.source_port, demo.target_port) if is_listening(port)
        ]
        left = ports + list(processes(demo.var).values())
        if not left:
            break
        time.sleep(0.1)
    return left
