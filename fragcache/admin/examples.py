"""Some instances of a fragment, as one would name them: to begin with, where none is known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from django.db.models import Model
from django.utils.text import smart_split

from fragcache.arguments import as_arguments
from fragcache.declarations import Fragment, is_rows
from fragcache.management.arguments import arguments_of

logger = logging.getLogger("fragcache")

#: How many are shown.
NUMBER: Final = 20


class Example(NamedTuple):
    """One instance."""

    #: As in a template: '12 variant="row"'.
    arguments: str
    #: What its item calls itself; "" where that is no row.
    title: str


def examples(fragment: Fragment) -> list[Example]:
    """Return the first instances of a fragment, by its items; of choices the first of each.

    There are none where it has no items, or where these fail: that is logged.
    """
    try:
        return list(_examples(fragment))
    except Exception:
        logger.exception("The items of %s cannot be listed.", fragment.name)
        return []


def _examples(fragment: Fragment) -> Iterator[Example]:
    found: Iterable[Any] | None = fragment.get_items()
    if found is None:
        return
    if is_rows(found):
        found = found[:NUMBER]
    for item in islice(found, NUMBER):
        arguments = _written(fragment, as_arguments(item))
        if arguments is not None:
            yield Example(arguments, str(item) if isinstance(item, Model) else "")


def _written(fragment: Fragment, given: tuple[Any, ...]) -> str | None:
    """Return arguments as in a template; None where these would be others."""
    names, defaults = fragment.parameters.names, fragment.parameters.defaults
    left = names[len(given) : len(names) - len(defaults)]
    chosen = {name: fragment.choices[name][0] for name in left if fragment.choices.get(name)}
    texts = [*map(_text, given), *(f"{name}={_text(value)}" for name, value in chosen.items())]
    written = " ".join(texts)
    args, kwargs = arguments_of(list(smart_split(written)))
    meant = fragment.parameters.instance(given, chosen)
    is_meant = fragment.parameters.instance(args, kwargs).encoded == meant.encoded
    return written if is_meant else None


def _text(value: Any) -> str:
    plain = value.pk if isinstance(value, Model) else value
    return str(plain) if type(plain) in {int, float} else f'"{plain}"'
