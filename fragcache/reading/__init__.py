"""Reading: a page's instances from the cache in one round trip, rendered where they are not."""

from fragcache.reading.api import RAISE, aget_fragment, aget_fragments, get_fragment, get_fragments
from fragcache.reading.prefetching import prefetch_fragments
from fragcache.reading.resolving import Reference, resolve
from fragcache.reading.shown import prefetch_shown, shown_fragments

__all__ = [
    "RAISE",
    "Reference",
    "aget_fragment",
    "aget_fragments",
    "get_fragment",
    "get_fragments",
    "prefetch_fragments",
    "prefetch_shown",
    "resolve",
    "shown_fragments",
]
