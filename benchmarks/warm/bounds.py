"""The bounds that fragcache promises of warming, S7 to S10, and whether a run keeps them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator

from benchmarks.bounds import Bound, faster, within
from benchmarks.measuring import SERVERS, Table
from benchmarks.warm.combinations import COMBINATIONS
from benchmarks.warm.findings import RUNS, Findings, exponent, further_growth


def bounds(findings: Findings) -> list[Bound]:
    """Return S7 to S10 with the figures of a run."""
    by_server = [
        bound for server in COMBINATIONS for bound in _of_server(findings, server, SERVERS[server])
    ]
    return sorted(by_server, key=lambda bound: int(bound.promise[1:]))


def _of_server(findings: Findings, server: str, name: str) -> Iterator[Bound]:
    warming = findings.table("warming", server)
    for row, what in (("run", "`Run`"), ("command", "`warm_fragments`")):
        claim = f"{what}, everything missing, {name}: share of the rate of rendering alone"
        figure = _median(warming, "render", row)
        yield Bound(promise="S7", claim=claim, limit=0.85, at_least=True, figure=figure)
    yield _queries(findings.queries.get(server, {}), name)
    what = f"two processes, {name}"
    yield faster("S8", what, findings.table("parallel", server), "two", "one", 1.75)
    what = f"nothing changed, {name}"
    yield faster("S9", what, warming, "again", "one-by-one", 40)
    yield Bound(
        promise="S9",
        claim=f"{what}: renders",
        limit=0,
        at_least=False,
        figure=findings.renders.get(server),
        unit="",
    )
    yield within("S9", f"1 % changed, {name}", warming, "changed", "command", 0.05)
    what = f"`--changed`, nothing changed, {name}"
    yield faster("S9", what, warming, "again-changed", "one-by-one", 40)
    what = f"`--changed`, 1 % changed, {name}"
    yield within("S9", what, warming, "changed-changed", "command", 0.05)
    yield from _scale(findings, server, name)


def _queries(counted: dict[int, int], name: str) -> Bound:
    figure = max(counted.values()) / min(counted.values()) if counted else None
    sizes = " and ".join(f"{size:,}" for size in counted) or "different sizes"
    claim = f"{name}: queries per batch, the most over the least for batches of {sizes}"
    return Bound(promise="S7", claim=claim, limit=1, at_least=False, figure=figure)


def _scale(findings: Findings, server: str, name: str) -> Iterable[Bound]:
    for run, label in RUNS.items():
        scales = findings.scale(server, run)
        power = exponent(scales)
        yield Bound(
            promise="S10",
            claim=f"{label}, {name}: exponent of time by size",
            limit=1.05,
            at_least=False,
            figure=None if power is None else round(power, 3),
            unit="",
        )
        yield Bound(
            promise="S10",
            claim=f"{label}, {name}: memory beyond that of the smallest size",
            limit=30,
            at_least=False,
            figure=further_growth(scales),
            unit=" MB",
        )


def _median(table: Table | None, row: str, to: str) -> float | None:
    return None if table is None else statistics.median(table.ratios(row, to))
