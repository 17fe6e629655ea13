"""HTML comments around fragments, which say in DEBUG what became of them.

They stand around what a page shows itself. Inside of a render nothing is added: that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.conf import settings
from django.utils.html import escape

from fragcache import conf, tracing
from fragcache.bubbling import is_recording
from fragcache.readable import size_text, time_text
from fragcache.tracing import Call, Outcome, Shown

#: Whole elements. A text may stand in an attribute or a title, where a comment would be shown.
_ELEMENTS: Final = re.compile(r"\s*<[a-zA-Z].*>\s*", re.DOTALL)


def are_wanted() -> bool:
    """Whether tags that are compiled now are to put comments around what they print."""
    return conf.settings().DEBUG_COMMENTS and settings.DEBUG


def commented(show: Callable[[], Sequence[str]], is_own: Callable[[str], bool]) -> list[str]:
    """Return what ``show`` does, each in comments; ``is_own`` knows its fragment by the name."""
    if is_recording():
        return list(show())
    with tracing.record() as trace:
        html = show()
    calls = [span for span in trace.spans if isinstance(span, Call) and is_own(span.fragment)]
    if not calls:
        return list(html)
    # What fills its holes is shown after it.
    call = calls[0]
    # An item that is None shows nothing, and nothing is asked for it.
    told: Sequence[Shown | None] = (
        call.shown if len(call.shown) == len(html) else [None] * len(html)
    )
    return [_around(call.fragment, one, text) for one, text in zip(told, html, strict=True)]


def anything(_fragment: str) -> bool:
    """Say of any fragment that it is the tag's own."""
    return True


def _around(fragment: str, shown: Shown | None, html: str) -> str:
    if not _ELEMENTS.fullmatch(html):
        return html
    name = _harmless(fragment)
    said = f" {_harmless(_said(shown))}" if shown is not None else ""
    return f"<!-- fragcache {name}{said} -->{html}<!-- /fragcache {name} -->"


def _said(shown: Shown) -> str:
    """Return what became of an instance: ``(pk=5) hit local 1.2 kB 3 s old``."""
    parts: list[Any] = [f"({shown.arguments})" if shown.arguments else "", shown.outcome.words]
    if shown.miss:
        parts.append(f"missed as {shown.why}")
    parts.append(size_text(shown.size))
    if shown.render is not None:
        parts.append(f"in {time_text(shown.render.cost / 1e9)}")
    if shown.age is not None:
        parts.append(f"{time_text(shown.age / 1e6)} old")
    if shown.outcome is Outcome.RENDERED and not shown.is_stored:
        parts.append("not stored")
    return " ".join(filter(None, parts))


def _harmless(text: str) -> str:
    """Return text that ends no comment, nor an attribute that the comment stands in."""
    return escape(text).replace("--", "-&#45;")
