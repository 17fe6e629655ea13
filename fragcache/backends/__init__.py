"""Cache backends: Django's caches with the bulk primitives that fragments need.

Only what needs no further package is imported here; ``fragcache.backends.redis`` needs
``fragcache[redis]``, ``fragcache.backends.memcached`` needs ``fragcache[memcached]``.
"""

from __future__ import annotations

from fragcache.backends.base import Advance, BulkBackend, FragmentBackend, NodeLost, ServerStats
from fragcache.backends.embedded import EmbeddedCache
from fragcache.backends.generic import GenericBackend, adapt

__all__ = [
    "Advance",
    "BulkBackend",
    "EmbeddedCache",
    "FragmentBackend",
    "GenericBackend",
    "NodeLost",
    "ServerStats",
    "adapt",
]
