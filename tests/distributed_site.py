"""The anthology with its workers, as processes over a database and a Redis of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import redis

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60
WORKERS = 4
#: What is said by each process of a queue that is ready for work, and by how many processes.
READY = {"tasks": ("Starting worker", WORKERS), "celery": (" ready.", 1)}
#: Options with which a worker is started, by the queue it serves.
COMMANDS = {
    "tasks": ["-m", "django", "db_worker", "--interval", "0.1", "--no-startup-delay"],
    "celery": [
        *("-m", "celery", "-A", "tests.anthology.celery_app", "worker", "-P", "prefork"),
        *("-c", str(WORKERS), "--without-gossip", "--without-mingle", "--without-heartbeat"),
        *("-l", "INFO"),
    ],
}


class Site:
    """A database is made for it; ``close`` ends its processes and drops that."""

    def __init__(self, queue: str, postgresql_url: str, redis_url: str, directory: Path) -> None:
        self._queue = queue
        self._admin_url = postgresql_url.rpartition("/")[0] + "/postgres"
        self._name = f"anthology_{uuid.uuid4().hex[:12]}"
        self._on_server(f"CREATE DATABASE {self._name}")
        self.log = directory / "log"
        self._redis = redis_url
        self._directory = directory
        self._started: list[subprocess.Popen[str]] = []
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "tests.anthology_settings",
            "PYTHONPATH": str(ROOT),
            "ANTHOLOGY_QUEUE": queue,
            "ANTHOLOGY_DATABASE": postgresql_url.rpartition("/")[0] + f"/{self._name}",
            "ANTHOLOGY_REDIS": redis_url,
            "ANTHOLOGY_LOG": str(self.log),
            "ANTHOLOGY_LIFE": "2",
            "ANTHOLOGY_STALL": "0",
        }

    def fill(self, number: int) -> None:
        """Make so many passages."""
        subprocess.run(
            [sys.executable, "-m", "tests.anthology.fill", str(number)],
            **self._surroundings(),
            check=True,
        )

    def start_workers(self) -> None:
        """Start four worker processes, and return when they are ready; Celery's have a parent."""
        line, times = READY[self._queue]
        for number in range(times):
            with (self._directory / f"worker-{number}").open("w") as said:
                self.start(*COMMANDS[self._queue], stdout=said, stderr=said)
        wait_until(lambda: self.said().count(line) == times)

    def warm(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``warm_fragments``."""
        return self.start(
            *("-m", "django", "warm_fragments", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        popen = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            **self._surroundings(),
            **streams,
        )
        self._started.append(popen)
        return popen

    def rendered(self) -> Counter[tuple[int, int]]:
        """Return how often each (passage, process) was rendered."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(tuple(map(int, line.split())) for line in lines)  # type: ignore[misc]

    def entries(self) -> int:
        """Return how many entries are stored: keys that are neither heads nor anything else."""
        client = redis.Redis.from_url(self._redis)
        with client:
            keys = client.scan_iter(match="*fc1:*anthology.passage_card:*", count=10_000)
            return sum(b"@" not in key for key in keys)

    def said(self) -> str:
        """Return what the workers have said."""
        return "".join(path.read_text() for path in self._directory.glob("worker-*"))

    def close(self) -> None:
        for popen in self._started:
            if popen.poll() is None:
                popen.terminate()
        for popen in self._started:
            try:
                popen.wait(5)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
            for stream in (popen.stdout, popen.stderr):
                if stream is not None:
                    stream.close()
        self._on_server(f"DROP DATABASE {self._name} WITH (FORCE)")

    def _surroundings(self) -> dict[str, Any]:
        return {"cwd": ROOT, "env": os.environ | self.environment}

    def _on_server(self, statement: str) -> None:
        connection = psycopg2.connect(self._admin_url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
