"""The rows of the panel: a trace as a table, in which depth tells what stands in what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fragcache.readable import size_text, time_text
from fragcache.tracing import Call, Render, Shown, Span, Trace

Row = dict[str, Any]
_SECOND = 1_000_000_000
#: Before the name of what stands in something, by how deep it does.
_STEP = "\u2003"
_BRANCH = "└ "


def rows_of(trace: Trace) -> list[Row]:
    """Return a row for each call, instance and render, what is inside of one after it."""
    return list(_Tree(trace).rows(trace.spans, 0))


class _Tree:
    def __init__(self, trace: Trace) -> None:
        # Members of a group are rendered by one call, and shown by others.
        self._shown = {
            id(one.render)
            for span in trace.walk()
            if isinstance(span, Call)
            for one in span.shown
            if one.render is not None
        }
        self._told: set[int] = set()

    def rows(self, spans: Sequence[Span], depth: int) -> Iterator[Row]:
        for span in spans:
            if isinstance(span, Call):
                yield from self._of_call(span, depth)
            elif isinstance(span, Render) and id(span) not in self._shown:
                yield _row(span, depth, outcome="rendered alone", **_rendered(span))
                yield from self.rows(span.children, depth + 1)

    def _of_call(self, call: Call, depth: int) -> Iterator[Row]:
        asked = _asked(call)
        if len(call.shown) == 1:
            [one] = call.shown
            yield _row(call, depth, **asked, **_became(one))
            yield from self._inside(one, depth + 1)
        else:
            hits = sum(one.outcome.is_hit for one in call.shown)
            outcome = f"{hits} of {len(call.shown)} hit" if call.shown else ""
            is_hit = hits == len(call.shown) and not call.error
            yield _row(call, depth, **asked, outcome=outcome, is_hit=is_hit)
            for one in call.shown:
                yield _row(call, depth + 1, **_became(one))
                yield from self._inside(one, depth + 2)
        # What context functions show; the renders stand where they are shown.
        yield from self.rows(call.children, depth + 1)

    def _inside(self, one: Shown, depth: int) -> Iterator[Row]:
        # Two places of one instance share its render.
        if one.render is not None and id(one.render) not in self._told:
            self._told.add(id(one.render))
            yield from self.rows(one.render.children, depth)


def _row(span: Span, depth: int, **cells: Any) -> Row:
    empty = dict.fromkeys(
        ("arguments", "axes", "why", "lookup", "render", "round_trips", "size", "age", "position"),
        "",
    )
    indent = _STEP * (depth - 1) + _BRANCH if depth else ""
    return {
        **empty,
        "name": indent + span.fragment,
        "depth": depth,
        "outcome": "",
        "is_hit": False,
        **cells,
    }


def _asked(call: Call) -> Row:
    return {
        "axes": ", ".join(f"{name}={value}" for name, value in call.axes.items()),
        "lookup": time_text(call.lookup / _SECOND) if call.lookup else "",
        "round_trips": call.round_trips or "",
        "position": str(call.position or ""),
        **({"outcome": call.error} if call.error else {}),
    }


def _became(one: Shown) -> Row:
    stored = " (not stored)" if one.is_stored is False else ""
    return {
        "arguments": one.arguments,
        "outcome": one.outcome.words + stored,
        "why": one.why,
        "is_hit": one.outcome.is_hit,
        "size": size_text(one.size) if one.size else "",
        "age": "" if one.age is None else time_text(one.age / 1e6),
        "render": "" if one.render is None else time_text(one.render.cost / _SECOND),
    }


def _rendered(render: Render) -> Row:
    return {
        "arguments": render.arguments,
        "why": render.error,
        "render": time_text(render.cost / _SECOND),
        "round_trips": render.round_trips or "",
    }
