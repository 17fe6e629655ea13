"""Refusals: what is said of values that cannot be published."""

from __future__ import annotations

from collections.abc import Iterator

from fragcache.exceptions import Unpublishable


def unpublishable(path: str, value: object) -> Unpublishable:
    """Return the error for a value of a type that no snapshot has."""
    kind = type(value)
    return Unpublishable(
        f"{path} is {_short(value)} ({kind.__module__}.{kind.__qualname__}), which cannot be "
        f"published: {_advice(value)}."
    )


def unpublishable_text(text: str) -> Unpublishable:
    """Return the error for a text that has no form in UTF-8."""
    return Unpublishable(
        f"The text {_short(text)} has half of a surrogate pair, which cannot be published: mend it "
        "before, as by text.encode(errors='replace').decode()."
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _advice(value: object) -> str:
    if isinstance(value, Iterator):
        return "make a list of it, since it can be walked only once"
    if callable(value):
        return "call it in the context function, and put in what it returns"
    return "put in plain values, models, querysets or dataclasses"
