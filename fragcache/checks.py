"""System checks: what ``manage.py check`` says of settings, caches and declarations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.utils.module_loading import import_string

from fragcache import axes, conf, registry
from fragcache.axes import Axis
from fragcache.backends.generic import adapt
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.exceptions import FragcacheError, KeyTooLong
from fragcache.keys import fit
from fragcache.store import store
from fragcache.suggestions import did_you_mean
from fragcache.warming.batches import size_of

_VALUES_PER_INSTANCE: Final = 2
#: The time-outs that other backends have to be given; ours, which set them, come first.
_TIMEOUT_OPTIONS: Final = (
    ("fragcache.backends.base.FragmentBackend", ()),
    ("django.core.cache.backends.redis.RedisCache", ("socket_timeout",)),
    ("django_redis.cache.RedisCache", ("SOCKET_TIMEOUT",)),
    ("django.core.cache.backends.memcached.PyMemcacheCache", ("timeout",)),
)


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
    return [*_unknown_settings(), *_wrong_alias(), *_wrong_values(given), *_wrong_axes(given)]


def check_caches(**_kwargs: Any) -> list[CheckMessage]:
    """Check the cache aliases that fragments are kept under."""
    messages: list[CheckMessage] = []
    for alias in sorted(_aliases()):
        fragments = [f for f in registry.all_fragments() if _alias_of(f) == alias]
        if alias in django_settings.CACHES:
            messages += _check_alias(alias, fragments)
        else:
            names = ", ".join(fragment.name for fragment in fragments)
            messages.append(
                Error(
                    f"The cache alias {alias!r}, which {names} uses, is not in CACHES.",
                    hint=did_you_mean(alias, django_settings.CACHES).strip() or None,
                    id="fragcache.E003",
                )
            )
    return messages


def check_plan(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Check that what is to be warmed fits; it counts rows, so only where databases are checked."""
    messages: list[CheckMessage] = []
    for alias in sorted(_aliases() & set(django_settings.CACHES)) if databases else ():
        fragments = [f for f in registry.all_fragments() if _alias_of(f) == alias]
        # The tables do not exist yet, as migrate checks before it runs; check_fragments complains.
        with suppress(Exception):
            messages += _check_size(alias, caches[alias], fragments)
    return messages


def check_fragments(**_kwargs: Any) -> list[CheckMessage]:
    """Check each declaration: its template, parameters, axes and version."""
    messages: list[CheckMessage] = []
    given = getattr(django_settings, "FRAGCACHE", {})
    if isinstance(given, dict) and any((*_wrong_values(given), *_wrong_axes(given))):
        return messages  # check_settings has said what is wrong for each of them
    for fragment in registry.all_fragments():
        try:
            _ = fragment.parameters, fragment.axes, digest_of(fragment)
        except TemplateDoesNotExist as error:
            messages.append(
                Error(
                    f"{fragment.name}: the template {error} does not exist.",
                    hint="Correct the declaration, or add the template.",
                    id="fragcache.E008",
                )
            )
        except (FragcacheError, TemplateSyntaxError) as error:
            messages.append(Error(f"{fragment.name}: {error}", id="fragcache.E009"))
        except DatabaseError:
            pass  # items() reads at once, and migrate, which checks as well, has not run yet
        except Exception as error:  # noqa: BLE001 - items() is the site's own
            messages.append(
                CheckWarning(
                    f"{fragment.name}: {type(error).__name__}: {error}",
                    hint="Its items() is called for its model, and raises.",
                    id="fragcache.W003",
                )
            )
    return messages


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


def _wrong_values(given: dict[str, Any]) -> Iterator[CheckMessage]:
    for name, hint in (
        ("SECRET_KEYS", "Write a list: the first key seals, all of them verify."),
        ("AXES", "Write a list of dotted paths."),
    ):
        texts = given.get(name, [])
        is_list = isinstance(texts, list | tuple)
        if not (is_list and all(isinstance(text, str) and text for text in texts)):
            # Its value may be secret.
            yield Error(
                f"FRAGCACHE[{name!r}] is not a list of texts.", hint=hint, id="fragcache.E004"
            )
    for name in ("TIMEOUT", "INVALIDATION_LAG", "PAGE_BUDGET", "LOCAL_MAX_BYTES"):
        value = given.get(name, 1)
        may_be_none = name == "TIMEOUT"
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and value >= 0) and not (value is None and may_be_none):
            yield Error(
                f"FRAGCACHE[{name!r}] is {value!r}, not a number of "
                f"{'bytes' if name.endswith('BYTES') else 'seconds'}.",
                hint="Use a number that is not negative" + (", or None." if may_be_none else "."),
                id="fragcache.E004",
            )


def _wrong_axes(given: dict[str, Any]) -> Iterator[CheckMessage]:
    paths = given.get("AXES", [])
    for path in paths if isinstance(paths, list | tuple) else []:
        if not isinstance(path, str):
            continue  # E004 says so
        try:
            kind = import_string(path)
        except ImportError as error:
            yield Error(
                f"FRAGCACHE['AXES'] names {path!r}, which cannot be imported: {error}.",
                id="fragcache.E005",
            )
            continue
        if not (isinstance(kind, type) and issubclass(kind, Axis) and hasattr(kind, "name")):
            yield Error(
                f"FRAGCACHE['AXES'] names {path!r}, which is no subclass of fragcache.Axis with a "
                "name.",
                id="fragcache.E005",
            )


def _aliases() -> set[str]:
    return {_alias_of(fragment) for fragment in registry.all_fragments()}


def _alias_of(fragment: Fragment) -> str:
    return fragment.using or conf.settings().cache_alias


def _check_alias(alias: str, fragments: Sequence[Fragment]) -> Iterator[CheckMessage]:
    cache = caches[alias]
    backend = adapt(cache)
    kind = type(cache).__name__
    warmed = [f.name for f in fragments if f.items is not None]
    if isinstance(cache, DummyCache) or not backend.shared:
        if warmed:
            yield Error(
                f"The cache alias {alias!r} ({kind}) is seen by one process only, but "
                f"warm_fragments fills it for others ({', '.join(warmed)}).",
                hint=_RECOMMENDED,
                id="fragcache.E006",
            )
    elif not backend.raw:
        yield Error(
            f"The cache alias {alias!r} ({kind}) unpickles what it reads: whoever writes to that "
            "cache runs code on this site.",
            hint=f"{_RECOMMENDED} To accept the risk, silence this check.",
            id="fragcache.E007",
        )
    yield from _check_timeouts(alias, cache)
    try:
        fit("x" * 1000, store(alias).room)
    except KeyTooLong as error:
        yield Error(f"The cache alias {alias!r}: {error}", id="fragcache.E010")


_RECOMMENDED: Final = (
    "Use fragcache.backends.redis.RedisCache, fragcache.backends.memcached.MemcachedCache or, on "
    "one machine, fragcache.backends.embedded.EmbeddedCache."
)


def _check_size(
    alias: str, cache: BaseCache, fragments: Sequence[Fragment]
) -> Iterator[CheckMessage]:
    largest = _most_entries(cache)
    if largest is None:
        return
    planned = sum(
        (size_of(fragment) or 0) * len(axes.combinations(fragment.axes))
        for fragment in fragments
        if fragment.is_warmable
    )
    if _VALUES_PER_INSTANCE * planned > largest:
        yield CheckWarning(
            f"The cache alias {alias!r} keeps at most {largest:,} values; the fragments that are "
            f"warmed there need {_VALUES_PER_INSTANCE * planned:,}: an entry and a head for each "
            "instance under each combination of axis values.",
            hint="Raise OPTIONS['MAX_ENTRIES'], or use a backend without that limit.",
            id="fragcache.W001",
        )


def _check_timeouts(alias: str, cache: BaseCache) -> Iterator[CheckMessage]:
    names = next((names for path, names in _TIMEOUT_OPTIONS if _is_a(cache, path)), ())
    options: Any = django_settings.CACHES[alias].get("OPTIONS", {})
    missing = [name for name in names if options.get(name) is None]
    if missing:
        yield CheckWarning(
            f"The cache alias {alias!r} ({type(cache).__name__}) has no time-outs of its own: a "
            "server that hangs would hang the pages.",
            hint=f"Set OPTIONS[{missing[0]!r}] to less than a second, or use fragcache's backend, "
            "which does.",
            id="fragcache.W002",
        )


def _most_entries(cache: BaseCache) -> int | None:
    # Every Django cache has the number; those with a _cull() keep to it.
    return getattr(cache, "_max_entries", None) if hasattr(cache, "_cull") else None


def _is_a(cache: BaseCache, path: str) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" == path for kind in type(cache).__mro__)
