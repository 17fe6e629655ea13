"""Redis and Valkey, through django-redis: raw bytes, time-outs, and bulk in one round trip.

    CACHES = {"fragments": {"BACKEND": "fragcache.backends.redis.RedisCache",
                            "LOCATION": "redis://127.0.0.1:6379/1"}}

OPTIONS are those of django-redis, and MAX_VALUE_BYTES. IGNORE_EXCEPTIONS does not reach the bulk
methods: what reads fragments degrades by itself, and counts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

from fragcache.backends import raw
from fragcache.backends.base import Advance, FragmentBackend, ServerStats, horizon
from fragcache.backends.questions import ask_all

try:
    import django_redis.cache
    from redis.exceptions import NoScriptError, RedisError, ResponseError
except ImportError as error:
    raise ImproperlyConfigured(
        f"RedisCache needs django-redis ({error}): pip install fragcache[redis]"
    ) from error

from fragcache.backends.redis_client import ADVANCE, DEFAULT_OPTIONS, RawClient

if TYPE_CHECKING:
    from redis import Redis

#: proto-max-bulk-len: a larger value breaks the connection off.
_LARGEST_VALUE: Final = 512 * 2**20
#: What would bring pickle back, or break what is stored as it is.
_REFUSED_OPTIONS: Final = ("SERIALIZER", "COMPRESSOR")


class RedisCache(FragmentBackend, django_redis.cache.RedisCache[RawClient]):
    """django-redis' cache as a backend of fragments.

    A reading user needs the permissions ``+get +mget`` and database 0 (others: ``+select``).
    """

    raw = True
    errors: ClassVar[tuple[type[Exception], ...]] = (RedisError, OSError)

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {**DEFAULT_OPTIONS, **(params.get("OPTIONS") or {})}
        for name in _REFUSED_OPTIONS:
            if name in options:
                raise ImproperlyConfigured(
                    f"OPTIONS[{name!r}] is {options[name]!r}, but RedisCache of fragcache stores "
                    "bytes as they are: remove it, or use another alias of CACHES."
                )
        super().__init__(server, {**params, "OPTIONS": options})
        self.max_value_bytes = options.get("MAX_VALUE_BYTES", _LARGEST_VALUE)

    def get(
        self, key: str, default: Any = None, version: int | None = None, client: Any = None
    ) -> Any:
        value = super().get(key, default, version, client)
        return default if value is raw.MISSING else value

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = list(keys)
        if not names:
            return {}
        replies = self._server(write=False).mget(self.make_keys(names, version))
        found = {}
        for name, value in zip(names, cast("list[bytes | None]", replies), strict=True):
            if value is not None:
                # Optimisation: of the stored forms none begins with an "f".
                found[name] = value if value[:1] == b"f" else raw.loads(value)
        return {name: value for name, value in found.items() if value is not raw.MISSING}

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        refused = set(self.too_large(stored))
        milliseconds = self._milliseconds(timeout)
        commands: list[tuple[Any, ...]] = []
        for key, name in zip(stored, self.make_keys(stored, version), strict=True):
            if key in refused or milliseconds == 0:
                commands.append(("DEL", name))
            else:
                commands.append(("SET", name, stored[key], *_expiry(milliseconds)))
        replies = zip(stored, self._pipelined(commands), strict=True)
        refused.update(key for key, reply in replies if isinstance(reply, ResponseError))
        return [key for key in stored if key in refused]

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        refused = self.too_large(stored)
        # A time-out of zero: what would be gone at once is there for the shortest time.
        expiry = _expiry(self._milliseconds(timeout) or None if timeout is None else 1)
        expiry = _expiry(self._milliseconds(timeout), least=1)
        wanted = [key for key in stored if key not in refused]
        commands = [
            ("SET", name, stored[key], "NX", *expiry)
            for key, name in zip(wanted, self.make_keys(wanted, version), strict=True)
        ]
        replies = _confirmed(self._pipelined(commands))
        added = {key for key, reply in zip(wanted, replies, strict=True) if reply}
        return [key for key in stored if key not in added]
