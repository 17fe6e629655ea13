"""Asked: what this site has asked a source's fragments for lately, as its processes have counted.

Of instances that no fragment of this site lists nothing else is known: those that `fetch_context`
is called for, or that templates show by a name.
"""

from __future__ import annotations

from typing import NamedTuple

from fragcache import manifest, registry
from fragcache.events import Event
from fragcache.exceptions import CountsUnavailable
from fragcache.stats.history import counted
from fragcache.stats.retention import HOUR
from fragcache.store import store


class Asked(NamedTuple):
    """How often instances of a fragment were asked for within an hour."""

    times: int
    #: Of these, how often there was none.
    missing: int


def asked_lately(using: str | None = None) -> dict[str, Asked]:
    """Return by name what was asked for of fragments that a source declares, and this site not.

    Nothing where no counts are kept in a database.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    try:
        sheets = counted(HOUR)
    except CountsUnavailable:
        return {}
    cache = store(using)
    found: dict[str, Asked] = {}
    for (name, _axes), sheet in sheets.items():
        if not name or registry.find(name) is not None:
            continue
        times, missing = found.get(name, Asked(0, 0))
        new = sheet.get(Event.MISSING, 0)
        there = sheet.get(Event.HIT, 0) + sheet.get(Event.STALE_SERVED, 0)
        found[name] = Asked(times + there + new, missing + new)
    return {
        name: asked
        for name, asked in sorted(found.items())
        if asked.times and manifest.find(cache, name) is not None
    }
