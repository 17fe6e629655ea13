"""Spans: what became of calls for fragments, and of the renders in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from fragcache.positions import Position


class Outcome(StrEnum):
    """What is shown of an instance."""

    #: From the process's memory, or from the cache.
    HIT_LOCAL = "hit_local"
    HIT_CACHE = "hit_cache"
    #: Rendered by the page itself.
    RENDERED = "rendered"
    #: What another thread or process has rendered meanwhile.
    AWAITED = "awaited"
    #: A stale entry, in its stead.
    STALE = "stale"
    #: Nothing at all: there is no such row, or a source does not publish it.
    NOTHING = "nothing"

    @property
    def is_hit(self) -> bool:
        return self in {Outcome.HIT_LOCAL, Outcome.HIT_CACHE}

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


@dataclass(slots=True, eq=False, kw_only=True)
class Span:
    """A stretch of time; times are in nanoseconds."""

    #: Whether what is done in it is kept with it.
    has_children: ClassVar[bool] = True

    #: The name of the fragment.
    fragment: str
    #: What it was done in.
    parent: Span | None = None
    children: list[Span] = field(default_factory=list)
    #: By ``time.perf_counter_ns()``, and since 1970 UTC.
    began: int = 0
    began_at: int = 0
    #: 0 until it has ended.
    duration: int = 0
    #: How often it has asked a cache, and for how long; without what its children have.
    round_trips: int = 0
    waited: int = 0
    #: The name of the exception that has ended it.
    error: str = ""

    def walk(self) -> Iterator[Span]:
        """Yield it and all spans in it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(slots=True, eq=False, kw_only=True)
class Render(Span):
    """One render of one instance."""

    #: As a reader has them, and as keys have them.
    arguments: str
    encoded: str
    #: What making its context took; where many were made at once, in equal parts.
    context_time: int = 0

    @property
    def cost(self) -> int:
        """Nanoseconds of the render with its context."""
        return self.context_time + self.duration


class Shown(NamedTuple):
    """What became of one instance that a call asked for."""

    #: As a reader has them.
    arguments: str
    outcome: Outcome
    #: Why it was no hit, a word of ``events.Miss``; "" for hits, and for what was not looked for.
    miss: str = ""
    #: Microseconds since what is shown was made; None for what is new.
    age: int | None = None
    #: Bytes of HTML.
    size: int = 0
    #: Whether the cache keeps it now; None where the page did not render it.
    is_stored: bool | None = None
    #: It may be another call's: what was prefetched together is rendered together.
    render: Render | None = None

    @property
    def why(self) -> str:
        """Why it was no hit, in words."""
        return self.miss.removeprefix("miss_").replace("_", " ")


@dataclass(slots=True, eq=False, kw_only=True)
class Call(Span):
    """One call of a tag or function, for any number of instances of one fragment."""

    axes: Mapping[str, Any]
    #: Who has asked; None where that cannot be told.
    position: Position | None = None
    #: What looking for the instances took, without rendering those that are missing.
    lookup: int = 0
    #: In the order in which they were asked for; empty until it is known, and after an error.
    shown: list[Shown] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class Warming(Span):
    """A batch of a warm run, or, without the name of a fragment, the run."""

    #: It may have millions.
    has_children: ClassVar[bool] = False

    axes: Mapping[str, Any] = field(default_factory=dict)
    #: As in the report: {"planned": 500, "fresh": 480, ...}; empty until it has ended.
    counts: Mapping[str, int] = field(default_factory=dict)
    #: How a run ended: "ok", "failed", ...
    status: str = ""


class Totals(NamedTuple):
    """The sums of a trace; times are in nanoseconds."""

    instances: int
    hits: int
    #: Of the hits, those from the process's memory.
    local: int
    #: Of those that are no hits, what was shown stale.
    stale: int
    renders: int
    round_trips: int
    #: Of all calls, of what they waited for caches, and of what they rendered.
    duration: int
    waited: int
    rendering: int


@dataclass(slots=True, eq=False)
class Trace:
    """What was recorded."""

    #: The outermost ones, in the order in which they ended.
    spans: list[Span] = field(default_factory=list)
    #: Of no call: invalidations, contexts.
    round_trips: int = 0
    waited: int = 0
    #: What it was recorded in.
    within: Span | None = None
    #: The last ones, by fragment and arguments as keys have them.
    renders: dict[tuple[str, str], Render] = field(default_factory=dict)

    def walk(self) -> Iterator[Span]:
        """Yield all spans, each before its children."""
        for span in self.spans:
            yield from span.walk()

    def totals(self) -> Totals:
        """Return the sums of all calls, inner ones too."""
        spans = list(self.walk())
        shown = [one for span in spans if isinstance(span, Call) for one in span.shown]
        renders = [span for span in spans if isinstance(span, Render)]
        outcomes = [one.outcome for one in shown]
        local = outcomes.count(Outcome.HIT_LOCAL)
        return Totals(
            instances=len(shown),
            hits=local + outcomes.count(Outcome.HIT_CACHE),
            local=local,
            stale=outcomes.count(Outcome.STALE),
            renders=len(renders),
            round_trips=self.round_trips + sum(span.round_trips for span in spans),
            duration=sum(span.duration for span in self.spans),
            waited=self.waited + sum(span.waited for span in spans),
            rendering=sum(one.cost for one in renders if not _is_inner(one)),
        )


def _is_inner(render: Render) -> bool:
    """Whether it is part of another render, whose time has its own in it."""
    above = render.parent
    while above is not None:
        if isinstance(above, Render):
            return True
        above = above.parent
    return False
