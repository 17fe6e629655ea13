"""Names to fragments: those that this site declares, and those that a source publishes."""

from __future__ import annotations

from fragcache import manifest, registry
from fragcache.counters import degrade
from fragcache.declarations import Fragment
from fragcache.events import Event
from fragcache.exceptions import FragmentMissing
from fragcache.guard import reading
from fragcache.store import store

Reference = str | Fragment | type[Fragment]


def find(f: Reference, using: str | None = None) -> Fragment | None:
    """Return a fragment, local or published; None where the source or the cache is silent.

    Raises:
        UnknownFragment: neither this site nor a source declares it.
    """
    return _declared(f) or reading(store(using), None, resolve, f, using)


def resolve(f: Reference, using: str | None = None) -> Fragment | None:
    """Return a fragment, local or published; None where a source is silent.

    Raises:
        UnknownFragment: neither this site nor a source declares it.
        CacheUnavailable: this site does not declare it, and a source cannot be asked.
    """
    fragment = registry.find(f)
    if fragment is not None:
        return _declared(f)
    cache = store(using)
    published = manifest.find(cache, f) if isinstance(f, str) else None
    if published is None and cache.is_writable:
        raise registry.unknown(f)
    return published


def tell_of_misfit(fragment: Fragment, error: Exception) -> None:
    """Count that a published fragment was asked for by what does not fit; DEBUG raises instead."""
    name = fragment.name
    # Without its text, which has the arguments.
    message = "%s is declared otherwise by the source than this site expects: %s."
    degrade(Event.ABSENT, name, "misfit", message, name, type(error).__name__)


def _declared(f: Reference) -> Fragment | None:
    """Return a fragment of this site, without those that another one has not told of yet."""
    fragment = registry.find(f)
    return None if fragment is None or fragment.published is None else fragment


def unpublished(f: Reference) -> FragmentMissing:
    """Return the error for a name that a target knows nothing of."""
    return FragmentMissing(
        f"No source has published a fragment called {f!r} in this cache: run warm_fragments on "
        "the source, and see that both sites have one KEY_PREFIX and the same SECRET_KEYS."
    )
