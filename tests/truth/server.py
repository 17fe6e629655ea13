"""The cache server: asked as ever, with a word before each question and after each write."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import redis
from django.core.cache import caches
from pymemcache.client.base import Client

from fragcache.backends.generic import adapt

WRITES = frozenset({"store_many", "add_many", "advance_many"})
_KINDS = {
    "token": re.compile(r"#\d$"),
    "lease": re.compile(r"~"),
    "manifest": re.compile(r"!manifest$"),
    "head": re.compile(r"@[0-9a-f]{16}$"),
    "entry": re.compile(r"\.[0-9a-f]{16}$"),
}
_ENTRY = re.compile(r"fc1:(truth\.\w+):(?:.*?(\d+)|-):-:(.+)\.([0-9a-f]{16})$")
_HEAD = re.compile(r"fc1:(truth\.\w+):(?:.*?(\d+)|-):-@([0-9a-f]{16})$")


class Named(NamedTuple):
    """What the key of an entry or head names; the version of a head is empty."""

    fragment: str
    pk: int | None
    version: str
    digest: str


class Sealed(NamedTuple):
    """What lies on the server, cut by hand: magic, lengths and MAC are fragcache's business."""

    as_of: int
    #: The identities of the two tokens, 16 bytes each; the second one is zeros without a stamp.
    tokens: tuple[bytes, bytes]
    payload: bytes

    @classmethod
    def cut(cls, data: bytes) -> Sealed:
        payload = data[8 + int.from_bytes(data[4:8]) + 16 :]
        return cls(int.from_bytes(data[8:16]), (data[36:52], data[52:68]), payload)

    @property
    def token(self) -> bytes:
        """The identity of the token that this is."""
        return self.as_of.to_bytes(8) + self.payload[:8]


def kind_of(key: str) -> str:
    """Return what lies under a key."""
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(key)), "other")


def named(key: str) -> Named | None:
    """Return what the key of an entry or head says, None for others."""
    if match := _ENTRY.match(key):
        fragment, pk, version, digest = match.groups()
    elif match := _HEAD.match(key):
        fragment, pk, digest = match.groups()
        version = ""
    else:
        return None
    return Named(fragment, None if pk is None else int(pk), version, digest)


class Watcher(Protocol):
    """Who is told of what the server is asked."""

    def before_exchange(self, command: str) -> None: ...

    def after_write(self, command: str, keys: Collection[str]) -> None: ...


class Server:
    """A backend of fragcache over a real server, with three copies of each token."""

    token_copies = 3

    def __init__(self, alias: str, watcher: Watcher) -> None:
        self._backend: Any = adapt(caches[alias])
        self._watcher = watcher
        location = caches.settings[alias]["LOCATION"]
        self._directly = _from_redis(location) if alias == "redis" else _from_memcached(location)
        #: Every key that was written, in order.
        self.keys: dict[str, None] = {}

    def clear(self) -> None:
        self._backend.clear()
        self.keys.clear()

    def read(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what lies on the server, without any code of fragcache's but for the key."""
        wanted = {self._backend.make_key(key): key for key in keys}
        return {wanted[key]: data for key, data in self._directly(list(wanted)).items()}

    def lose(self, keys: Collection[str]) -> None:
        """Forget, as if evicted, or at the end of their lives."""
        if keys:
            self._backend.delete_many(list(keys))

    def of_kind(self, kind: str) -> list[str]:
        return [key for key in self.keys if kind_of(key) == kind]

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._backend, name)
        if name not in WRITES and name not in {"get_many", "touch_many", "delete_many"}:
            return attribute

        def exchanged(keys: Any, *args: Any, **kwargs: Any) -> Any:
            wanted = keys if isinstance(keys, Mapping) else list(keys)
            self._watcher.before_exchange(name)
            answer = attribute(wanted, *args, **kwargs)
            if name in WRITES:
                self.keys |= dict.fromkeys(wanted)
                self._watcher.after_write(name, list(wanted))
            return answer

        return exchanged


def _from_redis(location: str) -> Callable[[list[str]], dict[str, bytes]]:
    client = redis.Redis.from_url(location)

    def read(keys: list[str]) -> dict[str, bytes]:
        found: Any = client.mget(keys) if keys else []
        return {key: data for key, data in zip(keys, found, strict=True) if data is not None}

    return read


def _from_memcached(location: str) -> Callable[[list[str]], dict[str, bytes]]:
    host, port = location.split(":")
    client = Client((host, int(port)), no_delay=True)

    def read(keys: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = client.get_many(keys) if keys else {}
        return found

    return read
