"""Whether the caches of fragments answer now, asked by this process and by no guard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from fragcache import conf, deadline, registry
from fragcache.exceptions import CacheUnavailable
from fragcache.store import PROBE_KEY, store

#: Seconds for which an answer is waited.
PATIENCE = 1.0


class Answer(NamedTuple):
    """What one cache alias gave."""

    alias: str
    #: Seconds; None where it did not answer.
    took: float | None
    problem: str = ""


def aliases() -> Sequence[str]:
    """Return the aliases that fragments are kept under, the one of the settings first."""
    own = (fragment.using for fragment in registry.all_fragments())
    return list(dict.fromkeys([conf.settings().cache_alias, *filter(None, own)]))


def ask(alias: str) -> Answer:
    """Ask a cache for what is not there."""
    began = time.monotonic()
    try:
        with deadline.within(PATIENCE):
            store(alias).fetch_many([PROBE_KEY])
    except CacheUnavailable as error:
        return Answer(alias, None, str(error))
    return Answer(alias, time.monotonic() - began)
