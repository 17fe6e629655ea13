"""Paths: where in a context something is, as templates and messages write it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

#: How much is looked at before a path is given up.
_MOST: Final = 100_000

Step = str | int


def written(steps: Sequence[Step]) -> str:
    """Return ``albums[3].artist`` for what leads there."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return "".join(parts).removeprefix(".")


def path_to(wanted: object, root: object) -> str:
    """Return the shortest path that leads from ``root`` to an object, "" where none is found."""
    for found, steps in islice(_walk(root), _MOST):
        if found is wanted:
            return written(steps)
    return ""


def _walk(root: object) -> Iterator[tuple[object, tuple[Step, ...]]]:
    """Yield what can be reached, breadth first, each object once."""
    level: list[tuple[object, tuple[Step, ...]]] = [(root, ())]
    seen = {id(root)}
    while level:
        yield from level
        following = []
        for value, steps in level:
            for step, inner in _parts(value):
                if id(inner) not in seen and not isinstance(inner, _LEAVES):
                    seen.add(id(inner))
                    following.append((inner, (*steps, step)))
        level = following


_LEAVES: Final = (str, bytes, int, float, type(None))


def _parts(value: Any) -> Iterator[tuple[Step, Any]]:
    if isinstance(value, Mapping):
        yield from ((key if isinstance(key, int) else str(key), one) for key, one in value.items())
    elif isinstance(value, Sequence):
        yield from enumerate(value)
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()
