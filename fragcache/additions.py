"""Additions: what a render adds to its page outside of itself, such as scripts for its head.

A render that is to be kept adds to variables of its own, and what they hold is kept beside its HTML
(see ``holes``). Each page that shows it is given that, whether it was rendered or found.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, Final, NamedTuple

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.template.context import Context
from django.utils.module_loading import import_string

from fragcache import conf
from fragcache.bubbling import note_unstorable
from fragcache.counters import tell
from fragcache.events import Event
from fragcache.exceptions import ImproperlyDeclared

#: By the app that they are for; those of ``FRAGCACHE["ADDITIONS"]`` come on top.
_BUILT_IN: Final[Mapping[str, str]] = {"sekizai": "fragcache.contrib.sekizai.Sekizai"}


class Added(NamedTuple):
    """One thing that a render adds."""

    #: The name of the ``Addition``.
    name: str
    #: Where to, in its own words: ``js``.
    where: str
    #: A SafeString where it is HTML.
    text: str


class Addition:
    """One way in which templates add to their page: subclass it and list its path in
    ``FRAGCACHE["ADDITIONS"]``.
    """

    name: ClassVar[str]

    def variables(self) -> dict[str, Any]:
        """Return new variables, to which the templates of one render can add."""
        raise NotImplementedError

    def added(self, variables: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Return where to what was added to ``variables``, in order; only texts can be kept."""
        raise NotImplementedError

    def replay(self, context: Context, where: str, text: str) -> None:
        """Add to the page that ``context`` is of what a render has added.

        Raises:
            LookupError: the page has no place for it, with a sentence of what to do.
        """
        raise NotImplementedError


class Prepared:
    """The variables of one render, and what was added to them."""

    def __init__(self, kinds: Iterable[Addition]) -> None:
        self._variables = {kind.name: kind.variables() for kind in kinds}
        self.variables: Mapping[str, Any] = dict(ChainMap(*self._variables.values()))

    def added(self, owner: str) -> list[Added]:
        """Return what was added.

        Raises:
            ImproperlyDeclared: some of it is no text, in DEBUG and in tests.
        """
        found = []
        for name, variables in self._variables.items():
            for where, value in get(name).added(variables):
                if isinstance(value, str):
                    found.append(Added(name, where, value))
                else:
                    _refuse(owner, name, where, value)
        return found


def prepared() -> Prepared:
    """Return what one render is given to add to."""
    kinds = available()
    return Prepared(kinds.values()) if kinds else _NOTHING  # optimisation: mostly there are none


@cache
def available() -> Mapping[str, Addition]:
    """Return each way of adding by its name."""
    paths = [path for app, path in _BUILT_IN.items() if apps.is_installed(app)]
    kinds = [import_string(path) for path in (*paths, *conf.settings().ADDITIONS)]
    return {kind.name: kind() for kind in kinds}


def get(name: str) -> Addition:
    """Return a way of adding by its name.

    Raises:
        LookupError: this site has none of that name.
    """
    known = available()
    if name not in known:
        raise LookupError(f"this site knows no {name}: add it to INSTALLED_APPS")
    return known[name]


_NOTHING: Final = Prepared(())


def _refuse(owner: str, name: str, where: str, value: Any) -> None:
    remedy = "which is no text and cannot be kept. Add texts, or add it outside."
    if settings.DEBUG or conf.is_testing():
        raise ImproperlyDeclared(f"{owner} adds {value!r} to {where!r} of {name}, {remedy}")
    note_unstorable()
    message = "%s adds an object of the class %s to %r of %s, %s"
    about = owner, type(value).__name__, where, name, remedy
    tell(Event.NOT_STORED, owner, f"addition to {where}", message, *about)


def _forget(**_kwargs: object) -> None:
    available.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.additions")
