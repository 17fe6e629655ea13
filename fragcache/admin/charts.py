"""Charts as paths of an SVG, which templates write into the page: see decision 0033.

A drawing is stretched to the room it has, so that it holds no text; labels are HTML around it.
Paths are made here as text, since templates would write numbers as the reader's language does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fragcache.admin.wording import Text

#: In units of the drawing.
WIDTH: Final = 600
HEIGHT: Final = 160
#: Of the width that each step has, the share that is left between bars.
GAP: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One number for each step."""

    #: The class of its shapes, by which the style sheet gives them their colour: "hit".
    kind: str
    label: Text
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Shape:
    """A series as the outline of its bars."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Band:
    """The place of one step, which tells its numbers to who points at it."""

    x: str
    width: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars, with what is written around them."""

    title: Text
    #: What the chart says, for those who do not see it.
    summary: str
    legend: Sequence[Series]
    shapes: Sequence[Shape]
    bands: Sequence[Band]
    #: The labels of the vertical axis from the top down.
    heights: Sequence[str]
    #: The labels of the horizontal axis.
    moments: Sequence[str]

    @property
    def box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"


def stacked(series: Sequence[Series], *, top: float) -> list[Shape]:
    """Return bars of which each series stands on those before it; ``top`` is the full height."""
    floors = [0.0] * max((len(one.values) for one in series), default=0)
    shapes = []
    for one in series:
        ceilings = [floor + value for floor, value in zip(floors, one.values, strict=True)]
        shapes.append(Shape(one.kind, _bars(floors, ceilings, top)))
        floors = ceilings
    return shapes


def overlaid(series: Sequence[Series], *, top: float) -> list[Shape]:
    """Return bars of which each series stands in front of those before it."""
    return [Shape(one.kind, _bars([0.0] * len(one.values), one.values, top)) for one in series]


def bands(titles: Sequence[str]) -> list[Band]:
    """Return the places of the steps, from the left."""
    width = WIDTH / max(1, len(titles))
    return [Band(_unit(number * width), _unit(width), title) for number, title in enumerate(titles)]


def nice_top(largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, and no less than ``largest``; 1 for nothing."""
    if largest <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(largest))
    return next(top for step in (1, 2, 5, 10) if (top := step * size) >= largest * (1 - 1e-9))


def _bars(floors: Sequence[float], ceilings: Sequence[float], top: float) -> str:
    room = WIDTH / max(1, len(floors))
    width = _unit(room * (1 - GAP))
    path = []
    for number, (floor, ceiling) in enumerate(zip(floors, ceilings, strict=True)):
        if ceiling > floor:
            x, y = _unit(room * (number + GAP / 2)), _unit(HEIGHT * (1 - floor / top))
            path.append(f"M{x} {y}h{width}V{_unit(HEIGHT * (1 - ceiling / top))}h-{width}z")
    return "".join(path)


def _unit(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
