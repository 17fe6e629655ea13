"""Arguments of an instance as they are written after a command: as in a template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from fragcache.exceptions import InvalidArguments


def arguments_of(texts: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments by position, and those that are given as ``name=value``.

    Raises:
        InvalidArguments: one is not written in UTF-8.
    """
    check_encoding(texts)
    pairs = [text.partition("=") for text in texts]
    args = [value_of("".join(pair)) for pair in pairs if not _is_named(pair)]
    return args, {pair[0]: value_of(pair[2]) for pair in pairs if _is_named(pair)}


def check_encoding(texts: Iterable[str]) -> None:
    """Refuse bytes of the shell that are no text: no key, and no database, takes them.

    Raises:
        InvalidArguments: one is not written in UTF-8.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArguments(f"{text!r} is not written in UTF-8.") from error


def value_of(text: str) -> Any:
    """Return what a template takes ``text`` for: a number, or a text with or without quotes."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _is_named(pair: tuple[str, str, str]) -> bool:
    name, equals, _value = pair
    return bool(equals) and name.isidentifier()
