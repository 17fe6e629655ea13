"""Counters for Prometheus: ``REGISTRY.register(FragcacheCollector())``, or the view of ``urls``."""

from __future__ import annotations

from fragcache.contrib.prometheus.collector import FragcacheCollector

__all__ = ["FragcacheCollector"]
