"""Backends of one's own, as settings.CACHES would make them, and how their servers freeze."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.core.cache import BaseCache, CacheHandler

from tests.processes import Server


def new_cache(backend: str, location: str | Sequence[str], **options: Any) -> Any:
    """Return a new instance of a class, named by its path, that no alias shares."""
    params = {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}
    cache: BaseCache = CacheHandler({"it": params})["it"]
    return cache


def freeze(server: Server) -> None:
    """Freeze a server that this process started; return when its last thread stands still."""
    server.freeze()
    os.waitpid(server.pid, os.WUNTRACED)
