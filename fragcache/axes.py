"""Axes: the ambient things that output varies on without being given as an argument."""

from __future__ import annotations

import itertools
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.module_loading import import_string

from fragcache import conf, page
from fragcache.exceptions import ImproperlyDeclared, UnknownAxis
from fragcache.suggestions import did_you_mean

#: In ``vary_on``, a name with this in front refuses an axis that is on by default.
REFUSAL = "-"


class Axis:
    """One ambient thing: subclass it and list its path in ``FRAGCACHE["AXES"]``."""

    name: ClassVar[str]

    def current(self, request: HttpRequest | None) -> Any:
        """Return the value in force; ``request`` is None outside of one."""
        raise NotImplementedError

    def values(self) -> Iterable[Any]:
        """Return the values to warm."""
        raise NotImplementedError

    def activate(self, value: Any) -> AbstractContextManager[Any]:
        """Return a context manager within which ``value`` is in force."""
        raise NotImplementedError

    def to_text(self, value: Any) -> str:
        """Return the text from which ``from_text`` makes the value again."""
        return str(value)

    def from_text(self, text: str) -> Any:
        """Return the value that ``--axis NAME=TEXT`` names, or that ``to_text`` has written.

        Raises:
            ValueError: with what is allowed.
        """
        known = {self.to_text(value): value for value in self.values()}
        if text not in known:
            raise ValueError(f"it is none of {', '.join(known) or 'its values: it has none'}")
        return known[text]


class Language(Axis):
    """The active language. Warmed: LANGUAGE_CODE, or LANGUAGES where the project sets it."""

    name = "language"

    def current(self, request: HttpRequest | None) -> str | None:
        return translation.get_language()

    def values(self) -> list[str]:
        codes = [settings.LANGUAGE_CODE]
        if any(path.endswith(".LocaleMiddleware") for path in settings.MIDDLEWARE):
            with suppress(LookupError):  # it never activates en-us where LANGUAGES has en alone
                codes = [translation.get_supported_language_variant(settings.LANGUAGE_CODE)]
        if settings.is_overridden("LANGUAGES"):  # type: ignore[misc]
            codes = [code for code, _name in settings.LANGUAGES]
        return list(map(translation.to_language, codes))  # "pt-BR" is in force as "pt-br"

    def activate(self, value: str) -> AbstractContextManager[Any]:
        return translation.override(value)

    def from_text(self, text: str) -> str:
        if text.lower() not in {code.lower() for code, _name in settings.LANGUAGES}:
            return str(super().from_text(text))
        return translation.to_language(text)


class TimeZone(Axis):
    """The current time zone. Warmed: TIME_ZONE."""

    name = "time_zone"

    def current(self, request: HttpRequest | None) -> str:
        # Its key: the name, which zones without history have, is "UTC" for "Etc/UTC" as well.
        return str(timezone.get_current_timezone())

    def values(self) -> list[str]:
        return [settings.TIME_ZONE]

    def activate(self, value: str) -> AbstractContextManager[Any]:
        # A zone of a fixed offset, which has no name to be found by, is in force already.
        return nullcontext() if value == self.current(None) else timezone.override(value)

    def from_text(self, text: str) -> str:
        if text not in zoneinfo.available_timezones():
            raise ValueError("it is no time zone")
        return text


class CurrentSite(Axis):
    """The site of django.contrib.sites, by primary key. Warmed: all of them."""

    name = "site"

    def current(self, request: HttpRequest | None) -> int:
        from django.contrib.sites.models import Site

        pk: int = Site.objects.get_current(request).pk
        return pk

    def values(self) -> list[int]:
        from django.contrib.sites.models import Site

        return list(Site.objects.order_by("pk").values_list("pk", flat=True))

    @contextmanager
    def activate(self, value: int) -> Iterator[None]:
        if page.current().is_request:
            # The site is the host's, and the only switch is a setting that all threads read.
            yield
            return
        former = getattr(settings, "SITE_ID", None)
        settings.SITE_ID = value
        try:
            yield
        finally:
            settings.SITE_ID = former


@cache
def available() -> Mapping[str, Axis]:
    """Return every axis by name: the built-in ones, then those of ``FRAGCACHE["AXES"]``."""
    kinds = [Language, TimeZone]
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


@contextmanager
def activated(values: Mapping[str, Any]) -> Iterator[None]:
    """Put axis values in force."""
    with ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(get(name).activate(value))
        yield


def _forget(**_kwargs: object) -> None:
    available.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.axes")
