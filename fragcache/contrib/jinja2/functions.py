"""The functions that show fragments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Manager
from jinja2 import Undefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from fragcache.arguments import RESERVED, as_item
from fragcache.contrib.jinja2.values import defined, page_context, request_of
from fragcache.exceptions import InvalidArguments, UndefinedArgument
from fragcache.reading import shown_fragments


class Shown(list[Markup]):
    """The HTML of many instances: to loop over, or printed as one."""

    def __str__(self) -> str:
        return Markup("").join(self)  # markup also where it is joined with other text

    def __html__(self) -> str:
        return str(self)


@pass_context
def fragment(context: Context, name: Any, /, *args: Any, **kwargs: Any) -> Markup:
    """Show one instance of a fragment."""
    undefined: list[str] = []
    item = as_item(defined(args, undefined))
    return _shown(
        context, f"fragment({name!r}, ...)", name, [item], given=kwargs, undefined=undefined
    )[0]


@pass_context
def fragments(context: Context, name: Any, items: Any, /, **kwargs: Any) -> Shown:
    """Show many instances of a fragment, fetched in one round trip."""
    undefined: list[str] = []
    items = defined(items, undefined)
    items = items.all() if isinstance(items, Manager) else items or ()
    if not isinstance(items, Iterable) or isinstance(items, str):
        raise InvalidArguments(
            f"fragments() takes a list of items, not {items!r}: for one use fragment()."
        )
    wanted = [defined(item, undefined) for item in items]
    return _shown(
        context, f"fragments({name!r}, ...)", name, wanted, given=kwargs, undefined=undefined
    )


def _shown(
    context: Context,
    call: str,
    name: Any,
    items: list[Any],
    *,
    given: Mapping[str, Any],
    undefined: list[str],
) -> Shown:
    for reserved in sorted(RESERVED.intersection(given)):
        raise InvalidArguments(f"{call}: {reserved!r} cannot be given in a template.")
    kwargs = {parameter: defined(value, undefined) for parameter, value in given.items()}
    name = "" if isinstance(name, Undefined) else name
    request = request_of(context)
    try:
        html = shown_fragments(
            name,
            items,
            request=request,
            page_context=lambda: page_context(context),
            undefined=undefined,
            **kwargs,
        )
    except UndefinedArgument as error:
        if not undefined:  # it is an inner fragment's
            raise
        raise UndefinedArgument(
            f"{call}: {', '.join(undefined)} does not resolve. Is it misspelled, or not passed to "
            "this template? Where it may be absent, add |default(none)."
        ) from error
    return Shown(map(escape, html))
