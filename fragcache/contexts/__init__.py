"""Contexts: snapshots of them that a source publishes, and that targets fetch."""

from fragcache.contexts.snapshots import open_snapshot, take_snapshot

__all__ = ["open_snapshot", "take_snapshot"]
