"""A module of the tests in a process of its own, which does one task a line, as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]


class LineProcess:
    """``python -m`` a module; a context manager."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._module = module
        self._environment = environment

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", self._module],
            cwd=ROOT,
            env=os.environ | self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._popen.communicate()

    def ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Return what became of a task."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(task) + "\n")
        self._popen.stdin.flush()
        found: dict[str, Any] = json.loads(self._popen.stdout.readline())
        return found
