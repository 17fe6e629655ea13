"""What a run finds: tables of paired rounds, counts, and single runs by size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.measuring import Kind, Table

#: What is done at each size, as tables call it.
RUNS = {
    "everything": "everything missing",
    "again": "again, nothing changed",
    "changed": "1 % changed",
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The runs of one kind at one size, each in a process of its own."""

    server: str
    #: One of ``RUNS``.
    run: str
    size: int
    seconds: Sequence[float]
    #: By how many bytes the process grew over its run, at its peak.
    growth: Sequence[int]

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def megabytes(self) -> float:
        """The largest growth."""
        return max(self.growth) / 1e6


@dataclass(kw_only=True)
class Findings:
    """All that a run found."""

    tables: list[Table] = field(default_factory=list)
    #: Queries of one batch, by server and size of the batches.
    queries: dict[str, dict[int, int]] = field(default_factory=dict)
    #: The most that was rendered by a run for which nothing had changed, by server.
    renders: dict[str, int] = field(default_factory=dict)
    scales: list[Scale] = field(default_factory=list)
    #: What a reader should know of this run.
    notes: list[str] = field(default_factory=list)

    def table(self, kind: Kind, server: str) -> Table | None:
        """Return one table, None where it was not measured."""
        return next((t for t in self.tables if (t.kind, t.server) == (kind, server)), None)

    def scale(self, server: str, run: str) -> list[Scale]:
        """Return the runs of one kind, smallest size first."""
        found = [scale for scale in self.scales if (scale.server, scale.run) == (server, run)]
        return sorted(found, key=lambda scale: scale.size)


def exponent(scales: Sequence[Scale]) -> float | None:
    """Return with which power of the size the time grows: a least-squares line through logarithms.

    None where fewer than two sizes were measured.
    """
    if len(scales) < 2:
        return None
    sizes = [math.log(scale.size) for scale in scales]
    return statistics.linear_regression(sizes, [math.log(s.median) for s in scales]).slope


def further_growth(scales: Sequence[Scale]) -> float | None:
    """Return how many MB more than at the smallest size a process grew at the worst other one."""
    if len(scales) < 2:
        return None
    return max(0.0, *(scale.megabytes - scales[0].megabytes for scale in scales[1:]))
