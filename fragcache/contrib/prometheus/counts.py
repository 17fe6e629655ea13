"""Sheets as metrics: counters of each fragment, and histograms of renders and ages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from fragcache.counters import Sheet
from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.exceptions import CountsUnavailable
from fragcache.histograms import bucket_of, middle_of
from fragcache.stats import history
from fragcache.stats.keeping import Sheets


class _Counter(NamedTuple):
    field: str
    name: str
    said: str
    #: By how much what is counted is divided.
    unit: float = 1


_COUNTERS: Final = (
    _Counter(Event.HIT, "hits", "Instances that pages asked for, found fresh."),
    _Counter(Measure.HIT_LOCAL, "local_hits", "Of the hits, those that the process held."),
    _Counter(Event.STALE_SERVED, "stale_served", "Instances shown stale."),
    _Counter(Measure.LOOKUP_NS, "lookup_seconds", "Time of looking for instances.", 1e9),
    _Counter(Measure.UNVISITED, "unvisited_lookups", "Instances that no page asked for."),
    _Counter(Measure.BYPASSED, "bypassed", "Instances rendered without looking for them."),
    _Counter(Event.RENDERED, "renders", "Instances rendered, by pages and by warming."),
    _Counter(Measure.WARMED, "warmed_renders", "Of the renders, those by warming."),
    _Counter(Measure.FIRST, "first_renders", "Of the renders, the first of each process."),
    _Counter(Measure.FIRST_US, "first_render_seconds", "Time of first renders.", 1e6),
    _Counter(Event.STORED, "stored", "Instances stored."),
    _Counter(Measure.BYTES, "stored_bytes", "Bytes of what was stored."),
    _Counter(Measure.STORE_US, "store_seconds", "Time of storing.", 1e6),
    _Counter(Measure.WAITS, "waits", "Instances waited for while another rendered them."),
    _Counter(Measure.WAIT_US, "wait_seconds", "Time of such waiting.", 1e6),
    _Counter(Measure.ERRORS, "errors", "Calls of the site's code that raised."),
)
_HAVE_COUNTERS: Final = {counter.field for counter in _COUNTERS}
_EVENTS: Final = tuple(event.value for event in Event if event not in _HAVE_COUNTERS)
_REASONS: Final = {reason.value: reason.name.lower() for reason in Miss}

#: Microseconds below which renders are counted: powers of two, where buckets of sheets begin.
_RENDER_BOUNDS: Final = tuple(1 << power for power in range(6, 25))
_AGE_BOUNDS: Final = tuple(1 << power for power in range(20, 41, 2))


class _Bounds:
    """The buckets of Prometheus, over those of sheets whose fields begin with a prefix."""

    def __init__(self, prefix: str, bounds: Sequence[int]) -> None:
        """``bounds`` are in microseconds, and buckets of sheets begin with them."""
        ends = [bucket_of(bound) for bound in bounds]
        #: Where the buckets of sheets go, by their fields.
        self._places = {
            f"{prefix}{bucket}": (bisect_right(ends, bucket), middle_of(bucket) / 1e6)
            for bucket in range(bucket_of(1 << 63))
        }
        self._labels = [*(str(bound / 1e6) for bound in bounds), "+Inf"]

    def of(self, sheet: Sheet) -> tuple[list[tuple[str, float]], float]:
        """Return how many values are below each bound, and the sum of their middles in seconds."""
        counts, seconds = [0] * len(self._labels), 0.0
        for field in self._places.keys() & sheet.keys():
            place, middle = self._places[field]
            counts[place] += sheet[field]
            seconds += middle * sheet[field]
        return list(zip(self._labels, map(float, accumulate(counts)), strict=True)), seconds


_RENDERS: Final = _Bounds(RENDER_BUCKET, _RENDER_BOUNDS)
_AGES: Final = _Bounds(AGE_BUCKET, _AGE_BOUNDS)


def families(sheets: Sheets, *, process: str = "") -> Iterator[Metric]:
    """Yield the metrics of sheets, by fragment; and by process, if one is named."""
    own, extra = (["process"], [process]) if process else ([], [])
    of_fragments = [([name, *extra], sheet) for (name, _axes), sheet in sheets.items() if name]
    of_all = [([name, *extra], sheet) for (name, _axes), sheet in sheets.items()]
    labels = ["fragment", *own]
    for counter in _COUNTERS:
        family = CounterMetricFamily(f"fragcache_{counter.name}", counter.said, labels=labels)
        for values, sheet in of_fragments:
            family.add_metric(values, sheet.get(counter.field, 0) / counter.unit)
        yield family
    yield _misses(of_fragments, labels)
    yield _events(of_all, labels)
    yield _renders(of_fragments, labels)
    yield _ages(of_fragments, labels)


def axis_families() -> Iterator[Metric]:
    """Yield what was counted in the last hour by fragment and axis values, as keys have them."""
    try:
        sheets = history.counted(history.SPANS["1h"])
    except CountsUnavailable:
        return
    split = [(list(label), sheet) for label, sheet in sheets.items() if all(label)]
    for name, said, fields in (
        ("hits", "Hits", [Event.HIT]),
        ("misses", "Misses", list(Miss)),
        ("renders", "Renders", [Event.RENDERED]),
    ):
        family = GaugeMetricFamily(
            f"fragcache_last_hour_{name}",
            f"{said} of the last hour, by axis values.",
            labels=["fragment", "axes"],
        )
        for values, sheet in split:
            family.add_metric(values, sum(sheet.get(field, 0) for field in fields))
        yield family


_Labelled = Iterable[tuple[list[str], Sheet]]


def _misses(found: _Labelled, labels: Sequence[str]) -> Metric:
    family = CounterMetricFamily(
        "fragcache_misses",
        "Instances that pages asked for, not found fresh, by reason.",
        labels=[*labels, "reason"],
    )
    for values, sheet in found:
        for field, reason in _REASONS.items():
            family.add_metric([*values, reason], sheet.get(field, 0))
    return family


def _events(found: _Labelled, labels: Sequence[str]) -> Metric:
    """Return what went wrong; of fragments what has, of the cache as a whole all that can."""
    family = CounterMetricFamily(
        "fragcache_events",
        'Outcomes worse than they should be, by event; of the fragment "" those of the cache.',
        labels=[*labels, "event"],
    )
    for values, sheet in found:
        for event in _EVENTS:
            times = sheet.get(event, 0)
            if times or not values[0]:
                family.add_metric([*values, event], times)
    return family


def _renders(found: _Labelled, labels: Sequence[str]) -> Metric:
    family = HistogramMetricFamily(
        "fragcache_render_seconds",
        "Time of renders but the first ones of processes.",
        labels=labels,
    )
    for values, sheet in found:
        buckets, _estimate = _RENDERS.of(sheet)
        family.add_metric(values, buckets, sheet.get(Measure.RENDER_US, 0) / 1e6)
    return family


def _ages(found: _Labelled, labels: Sequence[str]) -> Metric:
    family = HistogramMetricFamily(
        "fragcache_served_age_seconds",
        "Age of what was shown from the cache; its sum is off by an eighth at most.",
        labels=labels,
    )
    for values, sheet in found:
        family.add_metric(values, *_AGES.of(sheet))
    return family
