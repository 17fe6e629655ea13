"""The report: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from benchmarks.bounds import BASELINES, Bound
from benchmarks.measuring import SERVERS, Kind, Quartiles, Results, Table, quartiles, significant

TITLES: Mapping[Kind, str] = {"warm": "Warm page", "cold": "Cold page"}


def markdown(
    results: Results, found: Sequence[Bound], machine: Mapping[str, str], how: str, *, plots: bool
) -> str:
    """Return the whole report; ``how`` tells how the run was made."""
    parts = ["# Benchmarks", how, rows(("", ""), machine.items())]
    if results.notes:
        parts += ["## Remarks", "\n".join(f"- {note}" for note in results.notes)]
    parts += ["## Bounds", bounds_table(found)]
    for server, name in SERVERS.items():
        for kind, title in TITLES.items():
            tables = [t for t in results.tables if (t.kind, t.server) == (kind, server)]
            if tables:
                parts += [f"## {title}, {name}", *_pictures(kind, server, plots=plots)]
                parts += ["Milliseconds, median:", milliseconds(tables)]
                for baseline in BASELINES[server]:
                    label = tables[0].labels[baseline]
                    parts += [f"Times faster than {label}:", speedups(tables, baseline)]
    parts += _warming(results)
    return "\n\n".join(parts) + "\n"


def as_json(results: Results, found: Sequence[Bound], machine: Mapping[str, str], how: str) -> str:
    """Return every sample, so that a reader can conclude otherwise."""
    content = {
        "how": how,
        "machine": dict(machine),
        "notes": results.notes,
        "round_trips": results.trips,
        "bounds": list(map(bound_as_document, found)),
        "tables": list(map(table_as_document, results.tables)),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def bound_as_document(bound: Bound) -> dict[str, object]:
    """Return a bound as JSON has it."""
    return {
        "promise": bound.promise,
        "claim": bound.claim,
        "at_least" if bound.at_least else "at_most": bound.limit,
        "figure": None if bound.figure is None else round(bound.figure, 4),
        "verdict": bound.verdict,
    }


def table_as_document(table: Table) -> dict[str, object]:
    """Return all rounds of a table as JSON has them."""
    return {
        "kind": table.kind,
        "server": table.server,
        "n": table.n,
        "rows": {
            key: {
                "label": table.labels[key],
                "milliseconds": [round(figure, 5) for figure in figures],
            }
            for key, figures in table.times.items()
        },
    }


def bounds_table(found: Iterable[Bound]) -> str:
    """Return the bounds with their figures and verdicts."""
    head = ("", "what", "bound", "measured", "verdict")
    lines = ((b.promise, b.claim, b.wanted, b.measured, b.verdict) for b in found)
    return rows(head, lines)


def milliseconds(tables: Sequence[Table]) -> str:
    """Return a table of the medians, a column for each N."""
    return _columns(tables, lambda table, row: significant(table.median(row)), "N={} ms")


def speedups(tables: Sequence[Table], baseline: str) -> str:
    """Return a table of the paired ratios with their quartiles, a column for each N."""

    def cell(table: Table, row: str) -> str:
        return spread(quartiles(table.speedups(row, baseline)))

    return _columns(tables, cell, "N={}")


def spread(figures: Quartiles) -> str:
    """Return "16.2 (15.9 to 16.6)"."""
    low, median, high = map(significant, figures)
    return f"{median} ({low} to {high})"


def rows(head: Sequence[str], lines: Iterable[Sequence[str]], *, are_figures: bool = False) -> str:
    """Return a Markdown table; figures stand to the right."""
    rule = ["---"] + ["---:" if are_figures else "---"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _pictures(kind: Kind, server: str, *, plots: bool) -> Iterator[str]:
    if plots and kind == "warm":
        yield f"![Warm page by its number of cards](warm-page-{server}.svg)"
        yield f"![Pages of 100 cards, warm and cold](page-of-100-{server}.svg)"


def _warming(results: Results) -> Iterator[str]:
    for table in results.tables:
        if table.kind == "warming":
            baseline = next(iter(table.times))
            yield f"## Warming {table.n:,} cards, {SERVERS[table.server]}"
            head = ("", "ms, median", f"times faster than {table.labels[baseline]}")
            yield rows(
                head,
                (
                    (
                        table.labels[row],
                        significant(table.median(row)),
                        spread(quartiles(table.speedups(row, baseline))),
                    )
                    for row in table.times
                ),
                are_figures=True,
            )


def _columns(tables: Sequence[Table], cell: Callable[[Table, str], str], head: str) -> str:
    labels = {key: label for table in tables for key, label in table.labels.items()}
    lines = (
        (label, *(cell(table, key) if key in table.times else "" for table in tables))
        for key, label in labels.items()
    )
    heads = (head.format(f"{table.n:,}") for table in tables)
    return rows(("", *heads), lines, are_figures=True)
