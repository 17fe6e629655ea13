"""Holed HTML: what is kept of a fragment, and where the live page has to fill something in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from django.utils.safestring import SafeString

from fragcache.entry import Entry, Field

#: The end of an addition.
END: Final = "/"


class Hole(NamedTuple):
    """What is to be filled in when a page shows what was kept."""

    #: The variable of the page that stands there; "" for a ``{% nocache %}``.
    variable: str
    #: The template in which the ``{% nocache %}`` stands, None for one made of a text.
    template_name: str | None = None
    #: Tells its body, as it was compiled.
    fingerprint: str = ""
    #: The variables that it has captured, as JSON; of an addition, where to and whether it is HTML.
    captured: str = ""
    #: The way of adding to the page of what stands between here and the hole with ``END``.
    adds: str = ""


class Holed(SafeString):
    """HTML without what the live page has to fill in; a page that shows it as it is misses that."""

    #: What stands before the first hole, between two, and after the last.
    pieces: Sequence[str]
    holes: Sequence[Hole]

    @classmethod
    def of(cls, pieces: Sequence[str], holes: Sequence[Hole]) -> Holed:
        """Return HTML of ``pieces`` with ``holes`` between them, one less."""
        html = cls("".join(pieces))
        html.pieces = pieces
        html.holes = holes
        return html


def packed_holes(html: Holed) -> bytes:
    """Return the holes as a header has them: each with the characters that stand before it."""
    lengths = map(len, html.pieces)
    listed = [[length, *hole] for length, hole in zip(lengths, html.holes, strict=False)]
    return json.dumps(listed, separators=(",", ":")).encode()


def html_of(entry: Entry) -> SafeString:
    """Return the HTML that an entry keeps, ``Holed`` where it has holes."""
    packed = entry.field(Field.HOLES) if entry.has_critical else None
    if packed is None:
        return SafeString(entry.payload, "utf-8")
    text = entry.payload.decode()
    pieces, holes, start = [], [], 0
    listed: list[Any] = json.loads(packed)
    for length, *hole in listed:
        pieces.append(text[start : start + length])
        holes.append(Hole(*hole))
        start += length
    return Holed.of([*pieces, text[start:]], holes)
