"""Atomic sets: instances of several fragments that become visible together."""

from fragcache.sets.publishing import NewSet, publish_set
from fragcache.sets.rolling import rollback_set
from fragcache.sets.using import UsedSet, ause_set, use_set

__all__ = ["NewSet", "UsedSet", "ause_set", "publish_set", "rollback_set", "use_set"]
