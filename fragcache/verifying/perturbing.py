"""Perturbing: what is around a render is changed where the key does not tell of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django.conf import settings

from fragcache import axes, registry
from fragcache.axes import Axis, Host, Language, Scheme, TimeZone
from fragcache.declarations import Fragment

logger = logging.getLogger("fragcache")

#: How many other values of an axis are tried.
VALUES: Final = 2
#: Languages whose words, numbers and dates differ, and zones as far apart as there are.
_LANGUAGES: Final = ("de", "fr", "en")
_ZONES: Final = ("Pacific/Kiritimati", "Pacific/Pago_Pago")


@dataclass(frozen=True, slots=True)
class Perturbation:
    """Another value of what is not in a fragment's key."""

    axis: Axis
    value: Any

    @property
    def name(self) -> str:
        return self.axis.name

    @property
    def text(self) -> str:
        """As it is said: ``language=de``."""
        return f"{self.name}={self.value}"

    def entered(self) -> AbstractContextManager[Any]:
        """Return a context manager within which it is in force."""
        return self.axis.activate(self.value)


def perturbations(fragment: Fragment) -> list[Perturbation]:
    """Return other values of every axis of the project that the fragment does not vary on.

    Those of addresses are tried where any fragment varies on them: they show by ``absolute_uri``
    alone, which keeps what does not tell them from being stored. Number and date formats are the
    language's. An axis that cannot be asked is logged, and left as it is.
    """
    found = []
    for name, axis in axes.available().items():
        if name in fragment.axes or not _may_show(axis):
            continue
        try:
            values = list(_values(axis))
            current = axis.current(None) if values else None
        except Exception:
            logger.warning("The axis %r cannot be perturbed", name, exc_info=True)
            continue
        others = [value for value in values if value != current]
        found += [Perturbation(axis, value) for value in others[:VALUES]]
    return found


def remedy(fragment: Fragment, name: str) -> str:
    """Return what puts an axis into the key."""
    if f"{axes.REFUSAL}{name}" in fragment.vary_on:
        return f"Take {axes.REFUSAL + name!r} out of its vary_on."
    names = [*fragment.vary_on, name]
    return f"Declare vary_on={names!r}."


def _may_show(axis: Axis) -> bool:
    is_address = isinstance(axis, Scheme | Host)
    return not is_address or any(axis.name in one.axes for one in registry.all_fragments())


def _values(axis: Axis) -> Iterator[Any]:
    if isinstance(axis, Language):
        if settings.USE_I18N:
            yield from dict.fromkeys([*axis.values(), *_other_languages()])
    elif isinstance(axis, TimeZone):
        if settings.USE_TZ:
            yield from _ZONES[:1] if axis.current(None) != _ZONES[0] else _ZONES[1:]
    else:
        yield from islice(axis.values(), VALUES + 1)


def _other_languages() -> list[str]:
    known = {code for code, _name in settings.LANGUAGES}
    return [code for code in _LANGUAGES if code in known]
