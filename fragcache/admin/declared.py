"""What is declared of a fragment, as lines to read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from fragcache.admin import wording
from fragcache.declarations import Fragment
from fragcache.management.listing import declared_options

logger = logging.getLogger("fragcache")


class Line(NamedTuple):
    """A word, what is declared, and whether that is code."""

    label: str
    text: str
    is_code: bool = False


def described(fragment: Fragment) -> list[Line]:
    """Return the declaration of a fragment; its items are not counted."""
    try:
        return list(_lines(fragment, declared_options(fragment)))
    except Exception as error:
        logger.exception("The declaration of %s cannot be shown.", fragment.name)
        return [Line(_("Problem"), f"{type(error).__name__}: {error}", is_code=True)]


def _lines(fragment: Fragment, columns: dict[str, Any]) -> Iterator[Line]:
    if fragment.__doc__ and "__doc__" in vars(fragment):
        yield Line(_("Description"), fragment.__doc__.strip().partition("\n\n")[0])
    if fragment.template_name:
        yield Line(_("Template"), fragment.template_name, is_code=True)
    yield Line(_("Arguments"), _signature(fragment), is_code=True)
    for name, values in columns["choices"].items():
        given = ", ".join(map(repr, values))
        yield Line(_("Choices of %(name)s") % {"name": name}, given, is_code=True)
    yield Line(_("Items"), _items(columns["items"]))
    yield Line(_("Version"), columns["version"] or _("none: time and invalidation"), is_code=True)
    yield Line(_("Axes"), ", ".join(columns["axes"]) or _("none"), is_code=bool(columns["axes"]))
    yield Line(_("Timeout"), _time(columns["timeout"]))
    yield Line(_("Rebuilt at the latest"), _time(columns["max_age"]))
    if fragment.stale_while_revalidate:
        yield Line(_("Stale while revalidated"), _time(fragment.stale_while_revalidate))
    if fragment.stale_if_error:
        yield Line(_("Stale if an error"), _time(fragment.stale_if_error))
    if fragment.publish != "html":
        yield Line(_("Published"), fragment.publish, is_code=True)
    if fragment.using:
        yield Line(_("Cache"), fragment.using, is_code=True)


def _signature(fragment: Fragment) -> str:
    """Return the parameters with their defaults: "course, variant='full'"."""
    names, defaults = fragment.parameters.names, fragment.parameters.defaults
    required = len(names) - len(defaults)
    given = [f"{name}={value!r}" for name, value in zip(names[required:], defaults, strict=True)]
    return ", ".join([*names[:required], *given]) or _("none")


def _items(items: str) -> str:
    words = {
        "listed": _("listed by a function"),
        "one": _("none: all its arguments have choices or defaults"),
        "on demand": _("none: it is made when a page asks for it"),
    }
    return words.get(items, items)


def _time(seconds: float | None) -> str:
    return _("for ever") if seconds is None else wording.duration(seconds)
