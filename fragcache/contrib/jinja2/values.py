"""Values that templates give, of which some are undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.template.context import Context as DjangoContext
from jinja2 import Undefined
from jinja2.runtime import Context
from jinja2.utils import missing

from fragcache.rendering.leaks import unwatched
from fragcache.rendering.showing import context_of


def defined(value: Any, undefined: list[str]) -> Any:
    """Return a value with None in place of what is undefined, which is named in ``undefined``.

    The absent key of a mapping is no typo, as in the tags of Django's templates.
    """
    if isinstance(value, Undefined):
        if not isinstance(value._undefined_obj, Mapping):
            undefined.append(_named(value))
        return None
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(defined(inner, undefined) for inner in value)
    if kind is dict:
        return {key: defined(inner, undefined) for key, inner in value.items()}
    return value


def request_of(context: Context) -> HttpRequest | None:
    """Return the request that a page is rendered for."""
    return unwatched(context.get("request"))


def page_context(context: Context) -> DjangoContext:
    """Return what holes are filled with: a page's variables, and what its request tells."""
    live = context_of(request_of(context))
    live.update(context.get_all())
    return live


def _named(value: Undefined) -> str:
    name, owner = value._undefined_name, value._undefined_obj
    if name is None:
        return f"({value._undefined_hint})"
    return str(name) if owner is missing else f"{type(owner).__name__}.{name}"
