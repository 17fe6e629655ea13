"""Shapes: whether a context is what a dataclass says, and an instance of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, get_type_hints

from fragcache.contexts.fitting import Misfit, fitted
from fragcache.exceptions import ImproperlyDeclared, ShapeMismatch

#: How many problems are named.
MOST: Final = 20


def shaped(context: Mapping[str, Any], shape: type[Any], owner: str) -> Any:
    """Return an instance of ``shape``, a dataclass, with the values of a context.

    Raises:
        ShapeMismatch: with the path of each part that is missing, unexpected or of another type.
        ImproperlyDeclared: ``shape`` is none.
    """
    check_shape(shape)
    problems: list[Misfit] = []
    made = fitted(shape, context, problems)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems[:MOST])
        if len(problems) > MOST:
            listed += f"\n  and {len(problems) - MOST:,} more"
        raise ShapeMismatch(f"{owner} does not fit {shape.__name__}:{listed}")
    return made


def check_shape(shape: Any) -> None:
    """Check that a shape is a dataclass whose annotations mean something.

    Raises:
        ImproperlyDeclared: it is not.
    """
    if not (isinstance(shape, type) and dataclasses.is_dataclass(shape)):
        raise ImproperlyDeclared(f"shape={shape!r} is not a dataclass.")
    try:
        get_type_hints(shape)
    except (NameError, TypeError) as error:
        raise ImproperlyDeclared(f"shape={shape.__name__}: {error}.") from error
