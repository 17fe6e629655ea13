"""Sizes: what each part of a context adds to its snapshot."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fragcache.contexts import wire


def sizes(document: wire.Document) -> dict[str, int]:
    """Return the bytes of each value of a context; a row counts where it is first led to."""
    rows = document.rows
    seen: set[int] = set()
    found = {}
    for name, value in document.root.items():
        size = len(wire.encode(value))
        waiting = list(_references(value))
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                size += len(wire.encode(rows[number]))
                waiting.extend(_references(rows[number]))
        found[name] = size
    return found


def _references(value: object) -> Iterator[int]:
    if isinstance(value, wire.Ref):
        yield value.row
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _references(getattr(value, name))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _references(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _references(one)
