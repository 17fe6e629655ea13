"""What the tests of blocks and holes share: pages made of a text, and what tells renders apart."""

from __future__ import annotations

from typing import Any, Final

from django.template import Context, Template

LOAD: Final = "{% load fragcache %}"


class Counter:
    """Says how often it was printed, so that what is kept can be told from what is rendered."""

    def __init__(self) -> None:
        self.times = 0

    def __str__(self) -> str:
        self.times += 1
        return str(self.times)


def shown(source: str, **context: Any) -> str:
    """Return what a page of that template shows."""
    return Template(LOAD + source).render(Context(context))
