"""Contexts: snapshots of them that a source publishes, and that targets fetch."""

from fragcache.contexts.records import Record, Records
from fragcache.contexts.snapshots import open_snapshot, take_snapshot

__all__ = ["Record", "Records", "open_snapshot", "take_snapshot"]
