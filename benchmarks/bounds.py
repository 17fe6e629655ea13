"""The bounds that fragcache promises of its speed, and whether a run keeps them.

S7 to S10 are about warming: `benchmarks.warm.bounds`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measuring import SERVERS, Results, Table, significant

#: The ``{% cache %}`` rows of each server's own backends.
BASELINES = {
    "locmem": ("cache-locmem",),
    "redis": ("cache-redis", "cache-django-redis"),
    "memcached": ("cache-pymemcache",),
}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One promise, and the figure of this run."""

    promise: str
    claim: str
    limit: float
    #: A speed-up has to reach the limit; a ratio of times must not exceed it.
    at_least: bool
    #: None where it was not measured.
    figure: float | None
    #: Of the limit and the figure: "x" for times, "%" for shares, "" for counts.
    unit: str = "x"

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept, None where that was not measured."""
        if self.figure is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def verdict(self) -> str:
        """Return "pass", or by how much the figure misses the limit."""
        if self.figure is None:
            return "not measured"
        if self.holds:
            return "pass"
        if not self.limit:
            return f"exceeds by {self.figure:g}"
        missing = self.figure / self.limit - 1
        by = f"{abs(missing):.0%}" if abs(missing) >= 0.01 else f"{abs(missing):.1%}"
        return f"falls short by {by}" if self.at_least else f"exceeds by {by}"

    @property
    def wanted(self) -> str:
        """Return what is promised: "≥ 25x"."""
        limit = f"{self.limit:.0%}" if self.unit == "%" else f"{self.limit:g}{self.unit}"
        return f"{'≥' if self.at_least else '≤'} {limit}"

    @property
    def measured(self) -> str:
        """Return the figure with its unit: "16.2x"."""
        if self.figure is None:
            return "-"
        if self.unit == "%":
            return f"{self.figure:.1%}"
        return f"{significant(self.figure)}{self.unit}" if self.unit else f"{self.figure:g}"


def bounds(results: Results) -> list[Bound]:
    """Return S1 to S6 and S11 with the figures of a run."""
    return [
        *_redis(results),
        *_memcached(results),
        *_local(results),
        *_page_of_one(results),
        *_round_trips(results),
        *_cold(results),
        *_counters(results),
    ]


def is_missed(found: list[Bound]) -> bool:
    """Whether any bound that was measured is not kept."""
    return any(bound.holds is False for bound in found)


def faster(
    promise: str, what: str, table: Table | None, row: str, than: str, limit: float
) -> Bound:
    """Return the bound of a row that has to be ``limit`` times faster ``than`` another."""
    figure = statistics.median(table.speedups(row, than)) if _has(table, row, than) else None
    claim = f"{what}: times faster than {_label(table, than)}"
    return Bound(promise=promise, claim=claim, limit=limit, at_least=True, figure=figure)


def within(promise: str, what: str, table: Table | None, row: str, of: str, limit: float) -> Bound:
    """Return the bound of a row that may take ``limit`` times as long as one ``of`` its table."""
    figure = statistics.median(table.ratios(row, of)) if _has(table, row, of) else None
    claim = f"{what}: time of {_label(table, of)}"
    return Bound(promise=promise, claim=claim, limit=limit, at_least=False, figure=figure)


def _redis(results: Results) -> Iterator[Bound]:
    table = results.table("warm", "redis", 100)
    row, what = "fragments-remote", "warm, N=100, Redis, local cache off"
    yield faster("S1", what, table, row, "cache-redis", 25)
    yield faster("S1", what, table, row, "cache-django-redis", 15)
    yield within("S1", what, table, row, "limit", 3.5)
    figure = None
    if _has(table, row, "opening", "limit"):
        rounds = zip(*(table.times[key] for key in (row, "opening", "limit")), strict=True)
        figure = statistics.median((taken - opening) / limit for taken, opening, limit in rounds)
    claim = f"{what}: time of the limit, without opening the entries"
    yield Bound(promise="S1", claim=claim, limit=2, at_least=False, figure=figure)


def _memcached(results: Results) -> Iterator[Bound]:
    table = results.table("warm", "memcached", 100)
    row, what = "fragments-remote", "warm, N=100, Memcached, local cache off"
    yield faster("S2", what, table, row, "cache-pymemcache", 10)
    yield within("S2", what, table, row, "limit", 2.5)


def _local(results: Results) -> Iterator[Bound]:
    for server in ("redis", "memcached"):
        table = results.table("warm", server, 100)
        what = f"warm, N=100, {SERVERS[server]} behind the local cache"
        yield faster("S3", what, table, "fragments", "cache-locmem", 12)
        if server == "redis":
            yield faster("S3", what, table, "fragments", "cache-redis", 100)
        yield within("S3", what, table, "fragments", "limit", 1)


def _page_of_one(results: Results) -> Iterator[Bound]:
    for server, baselines in BASELINES.items():
        table = results.table("warm", server, 1)
        for row, local in (("fragment", "on"), ("fragment-remote", "off")):
            for baseline in baselines:
                what = f"`{{% fragment %}}`, N=1, {SERVERS[server]}, local cache {local}"
                yield faster("S4", what, table, row, baseline, 1)


def _round_trips(results: Results) -> Iterator[Bound]:
    for server in ("redis", "memcached"):
        claim = f"warm, N=100, {SERVERS[server]}, local cache off: round trips"
        trips = results.trips.get(server)
        yield Bound(promise="S5", claim=claim, limit=1, at_least=False, figure=trips, unit="")


def _cold(results: Results) -> Iterator[Bound]:
    for server, limit in (("locmem", 1.2), ("redis", 1.2), ("memcached", 1.3)):
        table = results.table("cold", server, 100)
        yield within("S6", f"cold, N=100, {SERVERS[server]}", table, "fragments", "plain", limit)


def _counters(results: Results) -> Iterator[Bound]:
    for server in ("redis", "memcached"):
        table = results.table("warm", server, 100)
        for row, bare, local in (
            ("fragments", "fragments-bare", "on"),
            ("fragments-remote", "fragments-remote-bare", "off"),
        ):
            figure = None
            if _has(table, row, bare):
                figure = 1 - statistics.median(table.ratios(bare, row))
            claim = (
                f"warm, N=100, {SERVERS[server]}, local cache {local}: share of counters and guard"
            )
            yield Bound(
                promise="S11", claim=claim, limit=0.1, at_least=False, figure=figure, unit="%"
            )


def _has(table: Table | None, *rows: str) -> bool:
    return table is not None and all(row in table.times for row in rows)


def _label(table: Table | None, row: str) -> str:
    return row if table is None else table.labels.get(row, row)
