"""Any Django cache as a backend of fragments, with fewer promises than ours.

Such a cache mostly pickles what it stores, and is only as atomic as its ``add``.
"""

from __future__ import annotations

import math
import pickle
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache

from fragcache.backends.base import FragmentBackend

#: What a value raises that cannot be unpickled or decompressed, as opposed to a server that fails.
_UNDECODABLE: Final = (
    pickle.UnpicklingError,
    zlib.error,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
#: Memcached's limit for an item, less the room for key and header.
_MEMCACHED_VALUE_BYTES: Final = 2**20 - 1024
#: Caches that keep the fraction of a second.
_EXACT: Final = (LocMemCache, FileBasedCache, DummyCache)


def adapt(cache: BaseCache) -> FragmentBackend:
    """Return ``cache`` if it is a backend of fragments, or else one that stands on it."""
    return cache if isinstance(cache, FragmentBackend) else GenericBackend(cache)


class GenericBackend(FragmentBackend):
    """The slow, correct defaults over a cache that knows nothing of them.

    Whatever it raises counts as its failure. A value that is not bytes, or that cannot be
    unpickled, is absent. The rest of Django's API is the wrapped cache's business.
    """

    forgets = False

    def __init__(self, cache: BaseCache) -> None:
        # No call of super(): what it reads from the settings, ``cache`` has read already.
        self._wrapped = cache
        self.key_prefix = cache.key_prefix
        self.version = cache.version
        self.key_func = cache.key_func
        self.default_timeout = cache.default_timeout
        self.make_key = cache.make_key  # type: ignore[method-assign]
        self.shared = not isinstance(cache, (LocMemCache, DummyCache))
        self.stores = not isinstance(cache, DummyCache)
        if isinstance(cache, BaseMemcachedCache):
            self.max_value_bytes = _MEMCACHED_VALUE_BYTES

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = list(keys)
        try:
            found = self._wrapped.get_many(names, version=version)
        except _UNDECODABLE:
            found = {key: self.get(key, version=version) for key in names}
        return {key: value for key, value in found.items() if isinstance(value, bytes)}

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        try:
            value = self._wrapped.get(key, version=version)
        except _UNDECODABLE:
            return default
        return value if isinstance(value, bytes) else default

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        refused = self.too_large(data)
        if refused:
            self.delete_many(list(refused), version=version)
        accepted = {key: value for key, value in data.items() if key not in refused}
        if accepted:
            # django-redis returns None where Django wants a list, and means no failure.
            failed = self._wrapped.set_many(accepted, self._kept(timeout), version) or []
            refused |= dict.fromkeys(failed, "the cache did not take it")
        return refused

    def set(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        self.set_many({key: value}, timeout, version=version)

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        return self._wrapped.add(key, value, self._kept(timeout), version=version)

    def touch(
        self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        seconds = self._kept(timeout)
        if self._wrapped.touch(key, seconds, version=version):
            return True
        # Both caches for Redis call a key missing that had no expiry to remove.
        return seconds is None and self._wrapped.has_key(key, version=version)

    def delete(self, key: str, version: int | None = None) -> bool:
        return self._wrapped.delete(key, version=version)

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        names = list(keys)
        if names:
            self._wrapped.delete_many(names, version=version)

    def _kept(self, timeout: float | None) -> float | None:
        """Return the time-out under which a cache that drops fractions keeps a value so long."""
        seconds = self.lifetime(timeout)
        if seconds is None or seconds <= 0 or isinstance(self._wrapped, _EXACT):
            return seconds
        return math.ceil(seconds) + 1
