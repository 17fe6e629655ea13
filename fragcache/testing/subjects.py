"""What the behaviour tests of a backend share: the cache, its variants, and keys of their own."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any, ClassVar
from unittest import SkipTest

from django.conf import settings
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache

from fragcache.backends import FragmentBackend, adapt


class BackendSubject:
    """The cache under test; a test method has an instance for itself."""

    #: The alias of settings.CACHES.
    alias: ClassVar[str]
    #: Whether several threads may use it here: false where each has a test database of its own.
    threads: ClassVar[bool] = True
    #: Whether a forked child may use it.
    forks: ClassVar[bool] = True

    @property
    def cache(self) -> BaseCache:
        """The cache as Django's API shows it to this thread."""
        return caches[self.alias]

    @property
    def backend(self) -> FragmentBackend:
        """The same as the storage layer sees it."""
        return adapt(self.cache)

    @property
    def many(self) -> int:
        """How many keys a large batch has: fewer where each one is a round trip or more."""
        return 1000 if self.backend is self.cache else 100

    def variant(self, **params: Any) -> FragmentBackend:
        """Return a backend in the same place with other parameters of settings.CACHES."""
        handler = CacheHandler({"variant": {**settings.CACHES[self.alias], **params}})
        return adapt(handler["variant"])

    def key(self, name: str) -> str:
        """Return a key that no other test uses."""
        return f"{self._unique}:{name}"

    def only_if(self, promised: bool) -> None:
        """Skip the test where the backend does not promise what it asks for."""
        if not promised:
            raise SkipTest(f"{self.alias!r} does not promise this")

    @cached_property
    def _unique(self) -> str:
        return uuid.uuid4().hex
