"""Texts: HTML as it is compared, with what the live page fills in named in its place."""

from __future__ import annotations

import json

from fragcache.entry import Entry
from fragcache.holed import END, Hole, Holed, html_of


def text_of(html: str) -> str:
    """Return HTML with its holes named: ``[csrf_token]``, ``[nocache in card.html 9f86]``."""
    if not isinstance(html, Holed):
        return html
    parts = [html.pieces[0]]
    for piece, hole in zip(html.pieces[1:], html.holes, strict=True):
        parts += [_named(hole), piece]
    return "".join(parts)


def text_of_entry(entry: Entry) -> str:
    """Return the same of what is stored, whatever that is."""
    try:
        return text_of(html_of(entry))
    except ValueError:  # no UTF-8
        return entry.payload.decode("utf-8", "replace")


def _named(hole: Hole) -> str:
    if hole.variable:
        return f"[{hole.variable}]"
    if hole.adds:
        return "]" if hole.adds == END else f"[to {json.loads(hole.captured)[0]} of {hole.adds}: "
    told = ["nocache in", hole.template_name, hole.fingerprint, hole.captured]
    return f"[{' '.join(str(part) for part in told if part)}]"
