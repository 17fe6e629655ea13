"""Positions: where in a template or in code something is asked for."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final, NamedTuple

from django.template.base import Node

#: What stands for the name of a template that was made of a text.
UNNAMED: Final = "<string>"
#: Packages whose code asks for nothing by itself.
_BETWEEN: Final = sys.stdlib_module_names | {"asgiref", "django", "fragcache", "jinja2"}


class Position(NamedTuple):
    """A line of a template, or of a file of code."""

    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.name}, line {self.line}"


def position_of(frame: FrameType) -> Position | None:
    """Return the place in a template that a frame renders, None for a frame that renders none."""
    if (compiled := frame.f_globals.get("__jinja_template__")) is not None:
        line = compiled.get_corresponding_lineno(frame.f_lineno)
        return Position(str(compiled.name or UNNAMED), line)
    node = frame.f_locals.get("self")
    # By type(): isinstance() would ask lazy objects, which may be what is read.
    token = getattr(node, "token", None) if issubclass(type(node), Node) else None
    if token is None:
        return None
    name = getattr(getattr(node, "origin", None), "template_name", None)
    return Position(str(name or UNNAMED), token.lineno or 0)


def asking_position() -> Position | None:
    """Return the tag, or else the line of the site's code, that asks for a fragment now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if (found := position_of(frame)) is not None:
            return found
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _BETWEEN:
            return Position(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
