"""Backends of one's own, as settings.CACHES would make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.cache import BaseCache, CacheHandler


def new_cache(backend: str, location: str | Sequence[str], **options: Any) -> Any:
    """Return a new instance of a class, named by its path, that no alias shares."""
    params = {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}
    cache: BaseCache = CacheHandler({"it": params})["it"]
    return cache
