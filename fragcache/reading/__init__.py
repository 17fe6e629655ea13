"""Reading: a page's instances from the cache in one round trip, rendered where they are not."""

from fragcache.reading.api import (
    RAISE,
    aget_fragment,
    aget_fragments,
    get_fragment,
    get_fragments,
    resolve,
)
from fragcache.reading.shown import shown_fragments

__all__ = [
    "RAISE",
    "aget_fragment",
    "aget_fragments",
    "get_fragment",
    "get_fragments",
    "resolve",
    "shown_fragments",
]
