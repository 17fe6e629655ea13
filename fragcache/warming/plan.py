"""A plan: what a run is to do, and what it may cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fragcache.counters import Label
from fragcache.declarations import Fragment
from fragcache.warming.allowance import Bounds
from fragcache.warming.due import Rank
from fragcache.warming.parts import Part

BATCH_SIZE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do."""

    fragments: Sequence[Fragment]
    using: str | None = None
    #: Only items of these primary keys.
    only: Sequence[str] | None = None
    #: Only this part of the items.
    within: Part | None = None
    #: Axis values to warm instead of all.
    axis_values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    batch_size: int = BATCH_SIZE
    #: Only rows that changed since the last completed run, where that can be told.
    changed: bool = False
    #: Render what is fresh as well.
    force: bool = False
    #: Report only; nothing is written, and no life extended.
    dry: bool = False
    #: Call due what is missing or stale, and not what is rendered at every run.
    check: bool = False
    #: The most instances to render.
    limit: int | None = None
    #: The most renders per second.
    max_rate: float | None = None
    #: Seconds after which no render begins. What is missing is rendered first, then what is stale,
    #: then what is rendered at every run.
    time_budget: float | None = None
    #: What fragments are worth by axis values; of each, what is worth most is rendered first.
    worths: Mapping[Label, float] = field(default_factory=dict)

    @property
    def bounds(self) -> Bounds:
        """Its bounds, if it is executed now."""
        deadline = None if self.time_budget is None else time.monotonic() + self.time_budget
        return Bounds(limit=self.limit, rate=self.max_rate, deadline=deadline)

    @property
    def ranks(self) -> Sequence[Rank | None]:
        """What is rendered first and what later; None is everything at once."""
        return [None] if self.time_budget is None else list(Rank)

    @property
    def is_whole(self) -> bool:
        """Whether every instance is walked, so that targets may follow to a new digest."""
        return not (self.dry or self.is_part)

    @property
    def is_part(self) -> bool:
        """Whether it is restricted to some instances."""
        return self.only is not None or self.within is not None or bool(self.axis_values)
