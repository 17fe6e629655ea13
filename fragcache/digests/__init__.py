"""Digests: which code made an entry, so that old and new releases never read each other's."""

from fragcache.digests.fragments import (
    OUTPUT_SETTINGS,
    Compiled,
    Digested,
    context_digest,
    digest_of,
    digest_of_compiled,
    forget,
    includes_digest,
    shown_by,
)

__all__ = [
    "OUTPUT_SETTINGS",
    "Compiled",
    "Digested",
    "context_digest",
    "digest_of",
    "digest_of_compiled",
    "forget",
    "includes_digest",
    "shown_by",
]
