"""django-debug-toolbar: what the fragments of a page did."""

from fragcache.contrib.debug_toolbar.panel import FragcachePanel

__all__ = ["FragcachePanel"]
