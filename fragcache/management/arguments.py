"""Arguments of an instance as they are written after a command: as in a template."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any


def arguments_of(texts: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments by position, and those that are given as ``name=value``."""
    args = [value_of(text) for text in texts if "=" not in text]
    pairs = [text.split("=", 1) for text in texts if "=" in text]
    return args, {name: value_of(text) for name, text in pairs}


def value_of(text: str) -> Any:
    """Return what a template takes ``text`` for: a number, or a text with or without quotes."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
