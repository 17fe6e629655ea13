"""What Redis servers say of themselves: whom to ask, under which names, and what for."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

from fragcache.backends.questions import Question
from fragcache.backends.redis_client import RawClient, SentinelConnectionFactory


def questions(client: RawClient) -> dict[str, Question]:
    """Return what to ask the server of an alias, and its Sentinels where it has some."""
    (url,) = client._server
    factory = client.connection_factory
    own = functools.partial(_of_server, client)
    if not isinstance(factory, SentinelConnectionFactory):
        return {address(url): own}
    asked: dict[str, Question] = {str(urlsplit(url).hostname): own}
    for sentinel in factory.sentinels:
        place = sentinel.connection_pool.connection_kwargs
        asked[f"{place['host']}:{place['port']}"] = functools.partial(figures, sentinel)
    return asked


def figures(server: Any) -> dict[str, Any]:
    """Return what INFO answers to redis-py's client of a server, without what has parts."""
    found = server.info()
    return {name: figure for name, figure in found.items() if not isinstance(figure, dict)}


def address(url: str) -> str:
    """Return host, port and database of a URL, which may hold a password as well."""
    parts = urlsplit(url)
    if parts.hostname is None:
        return parts.path
    return f"{parts.hostname}:{parts.port or 6379}/{parts.path.strip('/') or 0}"


def _of_server(client: RawClient) -> dict[str, Any]:
    return figures(client.connect(0))
