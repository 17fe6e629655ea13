"""One run: combination after combination, and size after size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass

from tqdm import tqdm

from benchmarks import servers
from benchmarks.warm.combinations import COMBINATIONS, KINDS, Combination
from benchmarks.warm.findings import RUNS, Findings, Scale
from benchmarks.warm.fresh import Call, fresh, process
from benchmarks.warm.progress import often


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured."""

    sizes: tuple[int, ...]
    rounds: int

    @property
    def size_of_ratios(self) -> int:
        """Cards that are warmed beside the loops."""
        return min(10_000, *self.sizes)

    @property
    def size_of_parallel(self) -> int:
        """Cards that two processes warm: enough that their start is no matter."""
        return min(100_000, max(self.sizes))

    @property
    def rounds_of_parallel(self) -> int:
        return max(1, self.rounds // 2)

    def runs_of(self, size: int) -> int:
        """Return how often a size is run: those that take minutes, once."""
        return max(1, self.rounds // 2) if size < 100_000 else 1

    @property
    def words(self) -> str:
        """Return a sentence that says how the run was made."""
        sizes = ", ".join(f"{size:,}" for size in self.sizes)
        return (
            f"{self.rounds} rounds of {self.size_of_ratios:,} cards, {self.rounds_of_parallel} "
            f"of {self.size_of_parallel:,} cards with two processes; {sizes} notes."
        )


def measure(names: Collection[str], extent: Extent) -> tuple[Findings, dict[str, str]]:
    """Return what was measured on the combinations of these names, and servers' versions."""
    findings, versions = Findings(), {}
    steps = len(names) * (3 + len(RUNS) * sum(map(extent.runs_of, extent.sizes)))
    with tqdm(total=steps, unit=" steps", mininterval=often()) as progress:
        for name in names:
            versions |= _measure(COMBINATIONS[name], extent, findings, progress)
    return findings, versions


def _measure(
    combination: Combination, extent: Extent, findings: Findings, progress: tqdm[None]
) -> dict[str, str]:
    prefix = "fragcache-bench-"
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as directory,
        # Two processes of a site share the cores with their servers, as they do in production.
        servers.running(combination.servers, KINDS, nullcontext) as missing,
    ):
        if missing:
            why = " ".join(missing.values())
            findings.notes.append(f"{combination.label}: not measured. {why}")
            return {}
        os.environ["FRAGCACHE_BENCHMARK_DIRECTORY"] = directory
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.warm.settings"
        with process() as call:
            database = call("benchmarks.warm.stock:prepare")
            _compare(combination, extent, findings, call, progress)
        for size in extent.sizes:
            fresh("benchmarks.warm.stock:fill", 0, size)
            findings.scales += _scaled(combination, size, extent.runs_of(size), progress)
        stand = servers.STANDS[combination.name]()
        return dict([database, (f"{combination.name} server", stand.version())])


def _compare(
    combination: Combination,
    extent: Extent,
    findings: Findings,
    call: Call,
    progress: tqdm[None],
) -> None:
    name = combination.name
    progress.set_description(f"{combination.label}: {extent.size_of_ratios:,} cards")
    call("benchmarks.warm.stock:fill", extent.size_of_ratios, 0)
    table, findings.renders[name] = call("benchmarks.warm.ratios:table", name, extent.rounds)
    findings.tables.append(table)
    progress.update()
    findings.queries[name] = call("benchmarks.warm.ratios:queries_per_batch")
    progress.update()
    progress.set_description(f"{combination.label}: {extent.size_of_parallel:,} cards")
    call("benchmarks.warm.stock:fill", extent.size_of_parallel, 0)
    rounds = extent.rounds_of_parallel
    findings.tables.append(call("benchmarks.warm.parallel:table", name, rounds))
    progress.update()


def _scaled(combination: Combination, size: int, runs: int, progress: tqdm[None]) -> list[Scale]:
    found: dict[str, list[tuple[float, int]]] = {run: [] for run in RUNS}
    for _ in range(runs):
        for run in RUNS:
            progress.set_description(f"{combination.label}: {size:,} notes, {RUNS[run]}")
            found[run].append(fresh("benchmarks.warm.scale:once", combination.name, run))
            progress.update()
    return [
        Scale(
            server=combination.name,
            run=run,
            size=size,
            seconds=[seconds for seconds, _growth in samples],
            growth=[growth for _seconds, growth in samples],
        )
        for run, samples in found.items()
    ]
