"""The contenders, one file each."""

from __future__ import annotations

from benchmarks.contenders import (
    adv_cache_tag,
    cacheops_tags,
    django_cache,
    fragcache_tags,
    limit,
    seed_style,
    uncached,
)
from benchmarks.rows import Row
from benchmarks.servers import Stand


def rows(server: Stand, n: int) -> list[Row]:
    """Return the rows of a page of ``n`` cards on a server, in the order of the tables."""
    return [
        *fragcache_tags.rows(server, n),
        *django_cache.rows(server),
        *adv_cache_tag.rows(server),
        *seed_style.rows(server),
        *cacheops_tags.rows(server),
        *uncached.rows(),
        *limit.rows(server),
    ]
