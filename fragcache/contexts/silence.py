"""Silence: no queries while a row says its text, which would be one for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections


class Asked(Exception):
    """The database was asked where it must not be."""


class Silence:
    """Within ``with silence:`` a query raises ``Asked``."""

    def __init__(self) -> None:
        self._is_on = False

    def __enter__(self) -> None:
        self._is_on = True

    def __exit__(self, *_error: object) -> None:
        self._is_on = False

    def execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a query where that is allowed, as ``connection.execute_wrapper`` calls it."""
        if self._is_on:
            raise Asked
        return execute(sql, params, many, context)


@contextmanager
def silence() -> Iterator[Silence]:
    """Make what keeps the connections of this thread silent, when it is told to."""
    made = Silence()
    with ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            stack.enter_context(connection.execute_wrapper(made.execute))
        yield made
