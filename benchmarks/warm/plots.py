"""Plots of time and memory by size, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.plots import STYLE, save
from benchmarks.warm.combinations import COMBINATIONS
from benchmarks.warm.findings import RUNS, Findings, Scale, exponent

COLOURS = {"everything": "#b3123b", "again": "#1f5fa8", "changed": "#c87a12"}


def write(findings: Findings, directory: Path) -> None:
    """Write a figure for each combination."""
    with plt.rc_context(STYLE):
        for server, combination in COMBINATIONS.items():
            scales = {run: findings.scale(server, run) for run in RUNS}
            if all(scales.values()):
                save(_by_size(combination.label, scales), directory / f"warming-{server}.svg")


def _by_size(label: str, scales: Mapping[str, Sequence[Scale]]) -> Any:
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    for run, found in scales.items():
        sizes = [scale.size for scale in found]
        power = exponent(found)
        fitted = "" if power is None else f", exponent {power:.2f}"
        style = {"color": COLOURS[run], "marker": "o", "markersize": 3.5}
        seconds = [scale.median for scale in found]
        time.plot(sizes, seconds, label=f"{RUNS[run]}{fitted}", **style)
        memory.plot(sizes, [scale.megabytes for scale in found], label=RUNS[run], **style)
    time.set(xscale="log", yscale="log", ylabel="seconds, median")
    memory.set(xscale="log", ylabel="MB by which the process grew, at its peak")
    memory.set_ylim(bottom=0)
    time.set_title(f"warm_fragments, {label}", loc="left", fontweight="bold")
    for axes in (time, memory):
        axes.set_xlabel("notes")
        sizes = [scale.size for scale in scales["everything"]]
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
        axes.legend(frameon=False, loc="best")
    return figure
