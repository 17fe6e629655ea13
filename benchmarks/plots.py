"""Plots of a run as SVG: the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.measuring import SERVERS, Results, Table, significant

STYLE = {
    "svg.hashsalt": "fragcache",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "font.family": "DejaVu Sans",
    "font.size": 9,
}
#: By how a row's key begins: fragcache dark red, the limit black, each peer a colour of its own.
COLOURS = {
    "fragments": "#b3123b",
    "cache": "#1f5fa8",
    "adv": "#7a52a8",
    "seed": "#3c8d5a",
    "cacheops": "#c87a12",
    "plain": "#8a8a8a",
    "include": "#b5b5b5",
    "limit": "#111111",
}
DASHES = ("-", "--", ":")


def write(results: Results, directory: Path) -> None:
    """Write two figures for each server."""
    with plt.rc_context(STYLE):
        for server in SERVERS:
            warm = [t for t in results.tables if (t.kind, t.server) == ("warm", server)]
            if warm:
                save(_by_size(warm), directory / f"warm-page-{server}.svg")
            pages = [results.table("warm", server, 100), results.table("cold", server, 100)]
            if present := [table for table in pages if table is not None]:
                save(_bars(present), directory / f"page-of-100-{server}.svg")


def save(figure: Any, path: Path) -> None:
    """Write a figure without anything that differs from run to run."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _by_size(tables: Sequence[Table]) -> Any:
    figure, axes = plt.subplots(figsize=(8.6, 5), layout="constrained")
    last = max(tables, key=lambda table: table.n)
    dashes = _dashes(_plotted(last))
    # The legend is in the order of the lines' right ends.
    for key in sorted(_plotted(last), key=last.median, reverse=True):
        family = _family(key)
        points = [(table.n, table.median(key)) for table in tables if key in table.times]
        axes.plot(
            *zip(*points, strict=True),
            label=_plain(last.labels[key]),
            color=COLOURS[family],
            linestyle=dashes[key],
            marker="o",
            markersize=3.5,
            linewidth=2.4 if family == "fragments" else 1.4,
        )
    axes.set(xscale="log", yscale="log", xlabel="cards on the page", ylabel="milliseconds, median")
    axes.set_xticks([table.n for table in tables], [f"{table.n:,}" for table in tables])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    axes.set_title(f"Warm page, {SERVERS[last.server]}", loc="left", fontweight="bold")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _bars(tables: Sequence[Table]) -> Any:
    keys = _plotted(tables[0])
    height = 1.1 + 0.27 * len(keys)
    figure, panels = plt.subplots(
        1, len(tables), figsize=(4.8 * len(tables), height), layout="constrained", squeeze=False
    )
    for axes, table in zip(panels[0], tables, strict=True):
        shown = sorted((key for key in _plotted(table)), key=table.median, reverse=True)
        medians = [table.median(key) for key in shown]
        colours = [COLOURS[_family(key)] for key in shown]
        bars = axes.barh([_plain(table.labels[key]) for key in shown], medians, color=colours)
        axes.bar_label(bars, [significant(median) for median in medians], padding=3, fontsize=8)
        axes.set(xscale="log", xlabel="milliseconds, median, log scale")
        axes.set_xlim(min(medians) / 2, max(medians) * 3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=False, axis="y")
        title = f"{table.kind.capitalize()} page of {table.n} cards, {SERVERS[table.server]}"
        axes.set_title(title, loc="left", fontweight="bold")
    return figure


def _plotted(table: Table) -> list[str]:
    return [key for key in table.times if key not in table.unplotted]


def _dashes(keys: Sequence[str]) -> dict[str, str]:
    """Return a dash for each row, by its place among those of its colour."""
    dashes: dict[str, str] = {}
    for key in keys:
        others = sum(_family(other) == _family(key) for other in dashes)
        dashes[key] = DASHES[others % len(DASHES)]
    return dashes


def _family(key: str) -> str:
    return key.partition("-")[0]


def _plain(label: str) -> str:
    return label.replace("`", "")
