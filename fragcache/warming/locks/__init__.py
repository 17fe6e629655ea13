"""The lock of warming: one run at a time for each cache, held where ``FRAGCACHE["LOCK"]`` says."""

from fragcache.warming.locks.base import Holder, Locked, LockUnavailable
from fragcache.warming.locks.lock import WarmingLock, holder_of

__all__ = ["Holder", "LockUnavailable", "Locked", "WarmingLock", "holder_of"]
