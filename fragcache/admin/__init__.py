"""The admin's pages: what each fragment costs and earns, how the caches are, and what warming did.

Django's admin finds this package by itself; it needs no URL configuration.
"""

from __future__ import annotations

from fragcache.admin import actions, fragment, instances, overview, runs, servers

__all__ = ["actions", "fragment", "instances", "overview", "runs", "servers"]
