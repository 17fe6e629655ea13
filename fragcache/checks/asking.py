"""Checks of both ends of the HTTP interface: of a source that is asked, a target that asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.urls import URLPattern, URLResolver, get_resolver

from fragcache import views
from fragcache.conf import settings
from fragcache.contexts.courier import require
from fragcache.contexts.credentials import signing_keys
from fragcache.exceptions import ExtraMissing
from fragcache.suggestions import did_you_mean

_NAMES: Final = ("URL", "KEY", "TIMEOUT")


def check_interface(**_kwargs: Any) -> list[CheckMessage]:
    """Check that who asks this site can be believed."""
    if signing_keys() or not getattr(django_settings, "ROOT_URLCONF", None):
        return []
    if not _is_included(get_resolver().url_patterns):
        return []
    return [
        CheckWarning(
            "fragcache.urls is included, and no keys are set: every request is refused.",
            hint="Set FRAGCACHE['API_KEYS'] to a list of long random texts, or the SECRET_KEYS "
            "that both sites share.",
            id="fragcache.W014",
        )
    ]


def wrong_source(given: object) -> Iterator[CheckMessage]:
    """Say what is wrong with ``FRAGCACHE["SOURCE"]``; its key is not told."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        yield _error("is no dict.")
        return
    for name in given:
        if name not in _NAMES:
            yield _error(f"has {name!r}.{did_you_mean(str(name), _NAMES)}")
    url = given.get("URL")
    if not (isinstance(url, str) and urlsplit(url).scheme in {"http", "https"}):
        yield _error(f"has the URL {url!r}, which is none of http or https.")
    if not isinstance(given.get("KEY", ""), str):
        yield _error("has a KEY that is no text.")
    if not given.get("KEY") and not signing_keys():
        yield _error("has no KEY, and there are neither API_KEYS nor SECRET_KEYS.")
    seconds = given.get("TIMEOUT", 1)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        yield _error(f"has the TIMEOUT {seconds!r}, which is no number of seconds.")
    try:
        require()
    except ExtraMissing as error:
        yield Error(str(error), id="fragcache.E013")


def check_source(**_kwargs: Any) -> list[CheckMessage]:
    """Check how this site asks its source."""
    return list(wrong_source(settings().SOURCE))


def _error(said: str) -> CheckMessage:
    return Error(
        f"FRAGCACHE['SOURCE'] {said}",
        hint="Write {'URL': 'https://.../context/', 'KEY': '...'}.",
        id="fragcache.E013",
    )


def _is_included(patterns: Iterable[URLPattern | URLResolver]) -> bool:
    return any(
        _is_included(one.url_patterns)
        if isinstance(one, URLResolver)
        else one.callback is views.context
        for one in patterns
    )
