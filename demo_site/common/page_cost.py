"""Write into the footer of a page how long it took, and what it asked of database and source."""

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse

MILLISECONDS = b"<!-- milliseconds -->"
QUERIES = b"<!-- queries -->"
REQUESTS = b"<!-- requests -->"

_requests: ContextVar[int] = ContextVar("requests", default=0)


def count_request(request: object) -> None:
    """Count a request to another site for the page at hand: an event hook of httpx."""
    _requests.set(_requests.get() + 1)


class PageCostMiddleware:
    """Replace the marks of a base template; pages without them pass untouched."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        queries = QueryCounter()
        _requests.set(0)
        started = perf_counter()
        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(queries))
            response = self.get_response(request)
        milliseconds = (perf_counter() - started) * 1000
        if not response.streaming and MILLISECONDS in response.content:
            content = response.content.replace(MILLISECONDS, b"%.1f" % milliseconds)
            content = content.replace(QUERIES, b"%d" % queries.count)
            response.content = content.replace(REQUESTS, b"%d" % _requests.get())
        return response


class QueryCounter:
    """An execute wrapper: https://docs.djangoproject.com/en/stable/topics/db/instrumentation/"""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        self.count += 1
        return execute(*args)
