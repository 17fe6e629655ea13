"""Warming: bring every instance up to date, ahead of the visitors."""

from fragcache.warming.lock import Locked, WarmingLock
from fragcache.warming.plan import Plan
from fragcache.warming.report import Report, Status, Tally
from fragcache.warming.run import Run

__all__ = ["Locked", "Plan", "Report", "Run", "Status", "Tally", "WarmingLock"]
