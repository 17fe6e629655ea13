"""The collector: reads what is counted when it is asked, and keeps nothing.

All processes of a deployment share their counts by the database, so that any of them answers for
all, and counters only grow: see ``stats.totals``. Without that each process has its own counters,
told apart by a label.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fragcache import conf, counters, registry
from fragcache.contrib.prometheus import counts, states
from fragcache.counters import add
from fragcache.exceptions import CountsUnavailable
from fragcache.stats.keeping import Sheets, database, keeper
from fragcache.stats.totals import totals


class FragcacheCollector(Collector):
    """What ``fragcache`` counts, as metrics.

    Args:
        by_axes: also tell what was counted in the last hour under each set of axis values. That
            is read row by row, and has up to thirty times as many series.
    """

    def __init__(self, *, by_axes: bool = False) -> None:
        self._by_axes = by_axes

    def describe(self) -> Iterable[Metric]:
        """Yield the metrics without samples: registering asks neither database nor cache."""
        return [*counts.families({}), *states.families(states.NOTHING), _availability(None)]

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics; those of counts without samples where these cannot be read."""
        try:
            sheets, is_available = self._sheets(), True
        except CountsUnavailable:
            sheets, is_available = {}, False
        try:
            return [
                *counts.families(sheets, process=self._process()),
                *(counts.axis_families() if self._by_axes and is_available else ()),
                *states.families(states.now()),
                _availability(is_available),
            ]
        finally:
            _close_connections()

    def _sheets(self) -> Sheets:
        found = counters.sheets() if self._process() else totals()
        sums: Sheets = {(fragment.name, ""): {} for fragment in registry.all_fragments()}
        sums |= {("", ""): {}}
        for (name, _axes), sheet in found.items():
            add(sums, {(name, ""): sheet})
        return sums

    def _process(self) -> str:
        """Name this process if it counts for itself; "" if all of them count together."""
        is_shared = conf.settings().STATS == "database" and database() is not None
        return "" if is_shared else keeper.process


def _close_connections() -> None:
    """Close what is due, as Django does after each of its requests: this may be in none."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _availability(is_available: bool | None) -> Metric:
    family = GaugeMetricFamily(
        "fragcache_counts_available", "Whether the counts of fragments could be read."
    )
    if is_available is not None:
        family.add_metric([], int(is_available))
    return family
