"""Checks of the cache aliases that fragments are kept under."""

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

from fragcache import axes, conf, registry
from fragcache.backends.generic import adapt
from fragcache.declarations import Fragment
from fragcache.exceptions import ExtraMissing, KeyTooLong, WrongKey
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


def check_caches(**_kwargs: Any) -> list[CheckMessage]:
    """Check the cache aliases that fragments are kept under."""
    messages: list[CheckMessage] = []
    if not conf.settings().ENABLED:
        return messages
    for alias in sorted(_aliases()):
        fragments = [f for f in registry.all_fragments() if _alias_of(f) == alias]
        if alias in django_settings.CACHES:
            messages += _check_alias(alias, fragments)
        else:
            names = ", ".join(fragment.name for fragment in fragments)
            messages.append(
                Error(
                    f"The cache alias {alias!r} is not in CACHES; {names} would be kept there.",
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
        if warmed and not conf.is_testing():  # tests are one process, and often have LocMem
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
    except (WrongKey, ExtraMissing):
        pass  # check_settings tells, once for all aliases


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
