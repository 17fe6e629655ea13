"""The axes of what readers speak and where they are: language and time zone."""

from __future__ import annotations

import zoneinfo
from contextlib import AbstractContextManager, suppress
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone, translation

from fragcache.axes.base import IN_FORCE, Axis


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
        return IN_FORCE if value == self.current(None) else translation.override(value)

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
        return IN_FORCE if value == self.current(None) else timezone.override(value)

    def from_text(self, text: str) -> str:
        if text not in zoneinfo.available_timezones():
            raise ValueError("it is no time zone")
        return text
