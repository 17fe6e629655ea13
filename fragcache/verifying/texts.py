"""Texts: HTML as it is compared, with what the live page fills in named in its place; contexts as
JSON.
"""

from __future__ import annotations

import json

from fragcache.contexts.snapshots import described
from fragcache.entry import Entry, Kind
from fragcache.exceptions import Unreadable
from fragcache.holed import END, Hole, Holed, html_of
from fragcache.rendering import Output


def text_of(html: str) -> str:
    """Return HTML with its holes named: ``[csrf_token]``, ``[nocache in card.html 9f86]``."""
    if not isinstance(html, Holed):
        return html
    parts = [html.pieces[0]]
    for piece, hole in zip(html.pieces[1:], html.holes, strict=True):
        parts += [_named(hole), piece]
    return "".join(parts)


def text_of_output(output: Output, kind: Kind) -> str | None:
    """Return what a render gave as text, None of a context that may not be kept."""
    if kind is not Kind.SNAPSHOT:
        return text_of(output.html)
    return None if output.payload is None else described(output.payload)


def text_of_entry(entry: Entry) -> str:
    """Return the same of what is stored, whatever that is."""
    try:
        is_context = entry.kind == Kind.SNAPSHOT
        return described(entry.payload) if is_context else text_of(html_of(entry))
    except (ValueError, Unreadable):  # no UTF-8, or no snapshot
        return entry.payload.decode("utf-8", "replace")


def _named(hole: Hole) -> str:
    if hole.variable:
        return f"[{hole.variable}]"
    if hole.adds:
        return "]" if hole.adds == END else f"[to {json.loads(hole.captured)[0]} of {hole.adds}: "
    told = ["nocache in", hole.template_name, hole.fingerprint, hole.captured]
    return f"[{' '.join(str(part) for part in told if part)}]"
