"""Interleaved rounds, and what is concluded of them: paired ratios, medians, quartiles."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["warm", "cold", "warming", "parallel"]
#: How readers call what the benchmarks run on.
SERVERS = {"locmem": "LocMem", "redis": "Redis", "memcached": "Memcached"}
#: Milliseconds of one round of a row.
Sample = Callable[[], float]


class Quartiles(NamedTuple):
    """The middle of some figures, and what half of them lie between."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rounds of one page on one server: milliseconds by row, round by round."""

    kind: Kind
    server: str
    #: Cards on the page.
    n: int
    labels: Mapping[str, str]
    times: Mapping[str, Sequence[float]]
    #: The rows that plots leave out.
    unplotted: Sequence[str] = ()

    def ratios(self, row: str, to: str) -> list[float]:
        """Return how many times as long as ``to`` the row took, round by round."""
        return [a / b for a, b in zip(self.times[row], self.times[to], strict=True)]

    def speedups(self, row: str, over: str) -> list[float]:
        """Return how many times faster than ``over`` the row was, round by round."""
        return self.ratios(over, row)

    def median(self, row: str) -> float:
        """Return the median of the row's milliseconds."""
        return statistics.median(self.times[row])


@dataclass(kw_only=True)
class Results:
    """All that a run found."""

    tables: list[Table] = field(default_factory=list)
    #: Round trips of one warm page, by server.
    trips: dict[str, int] = field(default_factory=dict)
    #: What a reader should know of this run: peers that differ or are not here.
    notes: list[str] = field(default_factory=list)

    def table(self, kind: Kind, server: str, n: int) -> Table | None:
        """Return one table, None where it was not measured."""
        wanted = (kind, server, n)
        return next((t for t in self.tables if (t.kind, t.server, t.n) == wanted), None)


def interleaved(
    samples: Mapping[str, Sample], rounds: int, ticked: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Run every row once in each round; no row is always first, or always after the same one.

    ``ticked`` is called after every row.
    """
    times: dict[str, list[float]] = {name: [] for name in samples}
    for number in range(rounds):
        for name in order(list(samples), number):
            times[name].append(samples[name]())
            ticked()
    return times


def order(names: Sequence[str], number: int) -> list[str]:
    """Return the order of a round: it begins one row later each time, every other one backwards."""
    start = (number // 2) % max(1, len(names))
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if number % 2 else turned


def quartiles(figures: Sequence[float]) -> Quartiles:
    """Return the quartiles of any number of figures, one included."""
    if len(figures) == 1:
        return Quartiles(figures[0], figures[0], figures[0])
    return Quartiles(*statistics.quantiles(figures, n=4, method="inclusive"))


def significant(figure: float) -> str:
    """Return a figure in three digits, or all those before its point."""
    if figure >= 100:
        return f"{figure:,.0f}"
    digits = 1 if figure >= 10 else 2 if figure >= 1 else 3 if figure >= 0.1 else 4
    return f"{figure:.{digits}f}"
