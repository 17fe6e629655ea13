"""Tracing: what became of each call for fragments, told to whoever asks for it.

A call (of a tag or a function) has spans of renders in it, and these have the calls in them that
they make: a page is a tree. ``record()`` keeps the tree of what is done within it; ``listen()``
tells each span of the process as it begins and ends::

    with tracing.record() as trace:
        html = render_page()
    print(trace.totals().hits)
"""

from fragcache.positions import Position
from fragcache.tracing.recording import Listener, leave, listen, record
from fragcache.tracing.spans import Call, Outcome, Render, Shown, Span, Totals, Trace, Warming

__all__ = [
    "Call",
    "Listener",
    "Outcome",
    "Position",
    "Render",
    "Shown",
    "Span",
    "Totals",
    "Trace",
    "Warming",
    "leave",
    "listen",
    "record",
]
