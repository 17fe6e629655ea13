"""Queries: how many a batch makes, which must not depend on its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from django.db import connections

#: Fewer instances than this tell nothing.
LEAST: Final = 20


class Queries:
    """A count of this thread's queries."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        self.number += 1
        return execute(sql, params, many, context)


@contextmanager
def counted() -> Iterator[Queries]:
    """Count the queries made within, on all databases."""
    queries = Queries()
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(queries))
        yield queries


def are_per_instance(queries: int, instances: int) -> bool:
    """Whether so many queries for so many instances mean that each of them makes its own."""
    return instances >= LEAST and queries >= instances
