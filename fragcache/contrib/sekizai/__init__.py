"""django-sekizai: what ``{% addtoblock %}`` adds to a page is kept with the HTML that adds it.

It works wherever ``sekizai`` is among INSTALLED_APPS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.template.context import Context
from sekizai.context_processors import sekizai
from sekizai.helpers import get_varname

from fragcache.additions import Addition
from fragcache.rendering.holes import LiveVariable

__all__ = ["Sekizai"]


class Sekizai(Addition):
    """``{% addtoblock %}`` and ``{% add_data %}``, by the dictionary that they write to."""

    name = "sekizai"

    def variables(self) -> dict[str, Any]:
        return dict(sekizai())

    def added(self, variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for where, values in variables[get_varname()].items():
            for value in values:
                yield where, str(value) if isinstance(value, LiveVariable) else value

    def replay(self, context: Context, where: str, text: str) -> None:
        if get_varname() not in context:
            raise LookupError(
                "add 'sekizai.context_processors.sekizai' to the context processors, and render "
                "the page with its request"
            )
        context[get_varname()][where].append(text)
