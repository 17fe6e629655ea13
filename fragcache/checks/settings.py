"""Checks of ``settings.FRAGCACHE``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from fragcache import conf
from fragcache.additions import Addition
from fragcache.axes import Axis
from fragcache.checks.keys import wrong_keys
from fragcache.checks.locks import wrong_lock
from fragcache.suggestions import did_you_mean

#: The classes that settings name subclasses of, as sites import them.
_PUBLIC: Final[dict[type, str]] = {
    Axis: "fragcache.Axis",
    Addition: "fragcache.additions.Addition",
}


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Check ``settings.FRAGCACHE``."""
    given = getattr(django_settings, "FRAGCACHE", {})
    if not isinstance(given, dict):
        return [
            Error(
                f"FRAGCACHE is {given!r}, not a dict.",
                hint="Write FRAGCACHE = {...}.",
                id="fragcache.E001",
            )
        ]
    return [
        *_unknown_settings(),
        *_wrong_alias(),
        *_wrong_lists(given),
        *wrong_keys(given),
        *_wrong_values(given),
        *_wrong_numbers(given),
        *_wrong_axes(given),
        *_wrong_kinds(given, "ADDITIONS", Addition),
        *_wrong_renewals(given),
        *_wrong_stats(given),
        *_unheeded_comments(given),
        *wrong_lock(given.get("LOCK", "cache")),
    ]


def has_usable_settings() -> bool:
    """Whether declarations can be looked at without meeting what is wrong with the settings."""
    given = getattr(django_settings, "FRAGCACHE", {})
    return isinstance(given, dict) and not any((*_wrong_values(given), *_wrong_axes(given)))


def _unknown_settings() -> Iterator[CheckMessage]:
    for name in conf.settings().unknown:
        yield Error(
            f"FRAGCACHE has no setting {name!r}.{did_you_mean(name, conf.NAMES)}",
            hint=f"Settings are {', '.join(conf.NAMES)}.",
            id="fragcache.E002",
        )


def _wrong_alias() -> Iterator[CheckMessage]:
    alias = conf.settings().CACHE_ALIAS
    if alias is not None and alias not in django_settings.CACHES:
        yield Error(
            f"FRAGCACHE['CACHE_ALIAS'] is {alias!r}, which is not in CACHES."
            f"{did_you_mean(alias, django_settings.CACHES)}",
            hint=f"CACHES has {', '.join(sorted(django_settings.CACHES))}.",
            id="fragcache.E003",
        )


def _wrong_lists(given: dict[str, Any]) -> Iterator[CheckMessage]:
    for name, hint in (
        ("SECRET_KEYS", "Write a list: the first key seals, all of them verify."),
        ("API_KEYS", "Write a list: the first key signs, all of them verify."),
        ("MONITORING_KEYS", "Write a list of long random texts."),
        ("AXES", "Write a list of dotted paths."),
        ("ADDITIONS", "Write a list of dotted paths."),
    ):
        texts = given.get(name, [])
        is_list = isinstance(texts, list | tuple)
        if not (is_list and all(isinstance(text, str) and text for text in texts)):
            # Its value may be secret.
            yield Error(
                f"FRAGCACHE[{name!r}] is not a list of texts.", hint=hint, id="fragcache.E004"
            )


def _wrong_values(given: dict[str, Any]) -> Iterator[CheckMessage]:
    for name in (
        *("ENABLED", "READ_ONLY", "READ_ONLY_BATCHES", "SHARED_BLOCKS", "BYPASS_UNWORTHY"),
        *("DEBUG_COMMENTS",),
    ):
        if not isinstance(given.get(name, True), bool):
            yield Error(
                f"FRAGCACHE[{name!r}] is {given[name]!r}, not True or False.",
                id="fragcache.E004",
            )
    queue = given.get("QUEUE")
    if not (queue is None or (isinstance(queue, str) and queue)):
        yield Error(
            f"FRAGCACHE['QUEUE'] is {queue!r}, not a name or None.",
            hint="Write the name of the queue that your workers serve, or leave it out.",
            id="fragcache.E004",
        )


def _wrong_numbers(given: dict[str, Any]) -> Iterator[CheckMessage]:
    for name in (
        *("TIMEOUT", "INVALIDATION_LAG", "PAGE_BUDGET", "LOCAL_MAX_BYTES"),
        *("STATEMENT_TIMEOUT",),
    ):
        value = given.get(name, 1)
        may_be_none = name in {"TIMEOUT", "STATEMENT_TIMEOUT", "PAGE_BUDGET"}
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and value >= 0) and not (value is None and may_be_none):
            yield Error(
                f"FRAGCACHE[{name!r}] is {value!r}, not a number of "
                f"{'bytes' if name.endswith('BYTES') else 'seconds'}.",
                hint="Use a number that is not negative" + (", or None." if may_be_none else "."),
                id="fragcache.E004",
            )


def _wrong_renewals(given: dict[str, Any]) -> Iterator[CheckMessage]:
    path = given.get("RENEW_WITH", "")
    if not path:
        return
    try:
        is_function = callable(import_string(path))
    except (ImportError, AttributeError) as error:
        yield Error(
            f"FRAGCACHE['RENEW_WITH'] is {path!r}, which cannot be imported: {error}.",
            hint="fragcache.contrib.tasks.renew_with, or .celery.tasks.renew_with, with its "
            "package installed; or the path of a function of your own.",
            id="fragcache.E005",
        )
        return
    if not is_function:
        yield Error(
            f"FRAGCACHE['RENEW_WITH'] is {path!r}, which is no function.", id="fragcache.E005"
        )


def _wrong_stats(given: dict[str, Any]) -> Iterator[CheckMessage]:
    value = given.get("STATS", "database")
    if value not in conf.KEPT_STATS:
        yield Error(
            f"FRAGCACHE['STATS'] is {value!r}, which says nowhere to keep counts.",
            hint=f"Use one of {', '.join(map(repr, conf.KEPT_STATS))}.",
            id="fragcache.E004",
        )


def _unheeded_comments(given: dict[str, Any]) -> Iterator[CheckMessage]:
    if given.get("DEBUG_COMMENTS") is True and not django_settings.DEBUG:
        yield CheckWarning(
            "FRAGCACHE['DEBUG_COMMENTS'] is True, and DEBUG is False: no comments are written.",
            hint="They tell visitors what arguments and caches there are. Set it where DEBUG is.",
            id="fragcache.W015",
        )


def _wrong_axes(given: dict[str, Any]) -> Iterator[CheckMessage]:
    return _wrong_kinds(given, "AXES", Axis)


def _wrong_kinds(given: dict[str, Any], setting: str, base: type) -> Iterator[CheckMessage]:
    paths = given.get(setting, [])
    for path in paths if isinstance(paths, list | tuple) else []:
        if not isinstance(path, str):
            continue  # E004 says so
        try:
            kind = import_string(path)
        except ImportError as error:
            yield Error(
                f"FRAGCACHE[{setting!r}] names {path!r}, which cannot be imported: {error}.",
                id="fragcache.E005",
            )
            continue
        if not (isinstance(kind, type) and issubclass(kind, base) and hasattr(kind, "name")):
            yield Error(
                f"FRAGCACHE[{setting!r}] names {path!r}, which is no subclass of "
                f"{_PUBLIC[base]} with a name.",
                id="fragcache.E005",
            )
