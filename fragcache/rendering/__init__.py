"""Rendering: instances to HTML, what is not kept of it, and what belongs to one visitor alone."""

from fragcache.rendering.instances import (
    Output,
    arender_fragment,
    is_uncached,
    missing,
    render_fragment,
    render_many,
    uncached,
)

__all__ = [
    "Output",
    "arender_fragment",
    "is_uncached",
    "missing",
    "render_fragment",
    "render_many",
    "uncached",
]
