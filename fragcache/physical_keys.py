"""Physical keys: what a server sees of keys, and what that leaves for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from django.core.cache import caches
from django.core.cache.backends.base import default_key_func

from fragcache.keys import MAX_BYTES


class PhysicalKeys:
    """The keys of one alias of ``settings.CACHES`` as its KEY_PREFIX and KEY_FUNCTION make them."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def room(self) -> int:
        """How many bytes of a key KEY_PREFIX and VERSION leave, or a KEY_FUNCTION to a tenant."""
        if self.has_plain_keys:
            return self._plain_room
        return MAX_BYTES - len(self.physical_key("").encode())

    @cached_property
    def physical_key(self) -> Callable[[str], str]:
        """What the server sees of a key. Values are sealed for it: KEY_PREFIX keeps sites apart."""
        backend = caches[self.alias]
        if self.has_plain_keys:
            return backend.make_key("").__add__  # optimisation: most keys need no call of ours
        return backend.make_key

    @cached_property
    def has_plain_keys(self) -> bool:
        """Whether KEY_PREFIX and VERSION alone stand before a key."""
        return caches[self.alias].key_func is default_key_func

    @property
    def space(self) -> str:
        """Where its keys lie: what a process remembers of one space is nothing to another.

        A KEY_FUNCTION of the site's own may say another prefix for each tenant.
        """
        return self.alias if self.has_plain_keys else f"{self.alias} {self.physical_key('')}"

    @cached_property
    def _plain_room(self) -> int:
        return MAX_BYTES - len(self.physical_key("").encode())
