"""The report on warming: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from benchmarks.bounds import Bound
from benchmarks.measuring import Table, quartiles, significant
from benchmarks.report import (
    bound_as_document,
    bounds_table,
    rows,
    spread,
    table_as_document,
)
from benchmarks.warm.combinations import COMBINATIONS
from benchmarks.warm.findings import RUNS, Findings, exponent


def markdown(
    findings: Findings, found: Sequence[Bound], machine: Mapping[str, str], how: str, *, plots: bool
) -> str:
    """Return the whole report; ``how`` tells how the run was made."""
    parts = ["# Warming", how, rows(("", ""), machine.items())]
    if findings.notes:
        parts += ["## Remarks", "\n".join(f"- {note}" for note in findings.notes)]
    parts += ["## Bounds", bounds_table(found)]
    for server, combination in COMBINATIONS.items():
        sections = [
            *_warming(findings.table("warming", server)),
            *_queries(findings.queries.get(server, {})),
            *_parallel(findings.table("parallel", server)),
            *_scale(findings, server, plots=plots),
        ]
        if sections:
            parts += [f"## {combination.label}", *sections]
    return "\n\n".join(parts) + "\n"


def as_json(
    findings: Findings, found: Sequence[Bound], machine: Mapping[str, str], how: str
) -> str:
    """Return every sample, so that a reader can conclude otherwise."""
    content = {
        "how": how,
        "machine": dict(machine),
        "notes": findings.notes,
        "bounds": list(map(bound_as_document, found)),
        "tables": list(map(table_as_document, findings.tables)),
        "queries_per_batch": findings.queries,
        "renders_though_nothing_changed": findings.renders,
        "scale": list(map(asdict, findings.scales)),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _warming(table: Table | None) -> Iterator[str]:
    if table is None:
        return
    yield f"### {table.n:,} cards, one process"
    loop, alone = "one-by-one", "render"
    head = (
        "",
        "ms, median",
        "µs per card",
        "times faster than the seed-style loop",
        "rate of rendering alone",
    )
    lines = (
        (
            table.labels[row],
            significant(table.median(row)),
            significant(table.median(row) * 1000 / table.n),
            spread(quartiles(table.speedups(row, loop))),
            spread(quartiles(table.speedups(row, alone))),
        )
        for row in table.times
    )
    yield rows(head, lines, are_figures=True)


def _queries(counted: Mapping[int, int]) -> Iterator[str]:
    if counted:
        said = ", ".join(f"{queries} with batches of {size:,}" for size, queries in counted.items())
        yield f"Queries per batch: {said}."


def _parallel(table: Table | None) -> Iterator[str]:
    if table is None:
        return
    yield f"### {table.n:,} cards, two processes"
    lines = (
        (
            table.labels[row],
            significant(table.median(row)),
            spread(quartiles(table.speedups(row, "one"))) if row != "start" else "",
        )
        for row in table.times
    )
    yield rows(("", "ms, median", "times faster than one process"), lines, are_figures=True)


def _scale(findings: Findings, server: str, *, plots: bool) -> Iterator[str]:
    found = {run: findings.scale(server, run) for run in RUNS}
    sizes = [scale.size for scale in found["everything"]]
    if not sizes:
        return
    yield "### By size"
    if plots:
        yield f"![Time and memory by number of notes](warming-{server}.svg)"
    columns = [f"{size:,}" for size in sizes]
    head = ("seconds, median (µs per note)", *columns, "exponent")
    yield rows(
        head,
        (
            (
                RUNS[run],
                *(
                    f"{significant(s.median)} ({significant(s.median * 1e6 / s.size)})"
                    for s in scales
                ),
                "" if (power := exponent(scales)) is None else f"{power:.3f}",
            )
            for run, scales in found.items()
        ),
        are_figures=True,
    )
    yield rows(
        ("MB by which the process grew, at its peak", *columns),
        (
            (RUNS[run], *(significant(scale.megabytes) for scale in scales))
            for run, scales in found.items()
        ),
        are_figures=True,
    )
