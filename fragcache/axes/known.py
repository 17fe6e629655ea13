"""Which axes there are, which ones a fragment has, and their values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils.module_loading import import_string

from fragcache import conf
from fragcache.axes.addresses import Host, Scheme
from fragcache.axes.base import IN_FORCE, Axis
from fragcache.axes.locales import Language, TimeZone
from fragcache.axes.sites import CurrentSite
from fragcache.exceptions import ImproperlyDeclared, UnknownAxis
from fragcache.suggestions import did_you_mean

#: In ``vary_on``, a name with this in front refuses an axis that is on by default.
REFUSAL = "-"


@cache
def available() -> Mapping[str, Axis]:
    """Return every axis by name: the built-in ones, then those of ``FRAGCACHE["AXES"]``."""
    kinds: list[type[Axis]] = [Language, TimeZone, Scheme, Host]
    if apps.is_installed("django.contrib.sites"):
        kinds.append(CurrentSite)
    kinds += [import_string(path) for path in conf.settings().AXES]
    return {kind.name: kind() for kind in kinds}


def plan(vary_on: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a fragment's axes, sorted: language and time zone unless refused.

    ``{{ price }}`` and dates change with the language without any tag that says so, hence the
    default.

    Raises:
        ImproperlyDeclared: ``vary_on`` is one string.
        UnknownAxis: a name is not among ``available()``.
    """
    if isinstance(vary_on, str):
        raise ImproperlyDeclared(f"vary_on={vary_on!r} is one string: write vary_on=[{vary_on!r}].")
    names = set()
    if settings.USE_I18N:
        names.add(Language.name)
    if settings.USE_TZ:
        names.add(TimeZone.name)
    for name in vary_on:
        plain = get(name.removeprefix(REFUSAL)).name
        names.discard(plain) if name.startswith(REFUSAL) else names.add(plain)
    return tuple(sorted(names))


def get(name: str) -> Axis:
    """Return an axis by name.

    Raises:
        UnknownAxis: with the nearest known name.
    """
    known = available()
    if name not in known:
        raise UnknownAxis(
            f"{name!r} is not an axis.{did_you_mean(name, known)} Known are "
            f"{', '.join(sorted(known))}; add your own to FRAGCACHE['AXES']."
        )
    return known[name]


def current_values(names: Iterable[str], request: HttpRequest | None) -> dict[str, Any]:
    """Return the values in force."""
    known = available()
    return {name: (known.get(name) or get(name)).current(request) for name in names}


def combinations(
    names: Sequence[str], chosen: Mapping[str, Sequence[Any]] | None = None
) -> list[dict[str, Any]]:
    """Return all combinations of the values to warm, or of the ``chosen`` ones where given."""
    chosen = chosen or {}
    values = [list(chosen.get(name) or get(name).values()) for name in names]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*values)]


def activated(values: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return a context manager within which axis values are in force."""
    switches = [get(name).activate(value) for name, value in values.items()]
    switches = [switch for switch in switches if switch is not IN_FORCE]
    return _all_of(switches) if switches else IN_FORCE


@contextmanager
def _all_of(switches: Iterable[AbstractContextManager[Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for switch in switches:
            stack.enter_context(switch)
        yield


def _forget(**_kwargs: object) -> None:
    available.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.axes")
