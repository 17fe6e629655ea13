"""Deployments: whose keys a page of figures speaks of, where several sites share one cache."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches

from fragcache.stats.answering import aliases
from fragcache.store import Store, store


class Deployment(NamedTuple):
    """What tells the fragments of one site from those of others."""

    alias: str
    #: The path of the backend's class.
    backend: str
    #: What the keys begin with; LOCATION, which may hold a password, is told nowhere.
    keys: str
    #: Whether a KEY_FUNCTION of the site's own makes that: it may be another one at each request.
    is_own: bool


def deployment(cache: Store) -> Deployment:
    """Return the deployment that keeps its fragments in a store."""
    configured: dict[str, Any] = settings.CACHES[cache.alias]
    return Deployment(
        cache.alias, str(configured["BACKEND"]), cache.physical_key(""), not cache.has_plain_keys
    )


def deployments() -> list[Deployment]:
    """Return those of all aliases that fragments are kept under, and that ``CACHES`` has."""
    return [deployment(store(alias)) for alias in aliases() if alias in caches.settings]
