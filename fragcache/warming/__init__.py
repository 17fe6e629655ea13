"""Warming: bring every instance up to date, ahead of the visitors."""

from fragcache.warming.locks import Locked, LockUnavailable, WarmingLock
from fragcache.warming.plan import Plan
from fragcache.warming.report import Report, Status, Tally
from fragcache.warming.run import Run

__all__ = [
    "LockUnavailable",
    "Locked",
    "Plan",
    "Report",
    "Run",
    "Status",
    "Tally",
    "WarmingLock",
]
