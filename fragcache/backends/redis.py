"""Redis and Valkey, through django-redis: raw bytes, time-outs, and bulk in one round trip.

    CACHES = {"fragments": {"BACKEND": "fragcache.backends.redis.RedisCache",
                            "LOCATION": "redis://127.0.0.1:6379/1"}}

OPTIONS are those of django-redis, and MAX_VALUE_BYTES. With SENTINELS, a list of (host, port), the
host in LOCATION is the name of what they watch. IGNORE_EXCEPTIONS does not reach the bulk methods:
what reads fragments degrades by itself, and counts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import parse_qs, urlsplit

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from fragcache.backends import raw
from fragcache.backends.base import Advance, FragmentBackend, ServerStats, horizon
from fragcache.backends.questions import ask_all

try:
    import django_redis.cache  # type: ignore[import-untyped]
    from redis.connection import parse_url
    from redis.exceptions import (
        BusyLoadingError,
        MaxConnectionsError,
        NoScriptError,
        RedisError,
        ResponseError,
    )
except ImportError as error:
    raise ImproperlyConfigured(
        f"RedisCache needs django-redis ({error}): pip install fragcache[redis]"
    ) from error

from fragcache.backends.redis_client import (
    ADVANCE,
    DEFAULT_OPTIONS,
    SENTINEL_OPTIONS,
    TOUCH,
    RawClient,
    Script,
    expiry,
)
from fragcache.backends.redis_figures import questions
from fragcache.backends.redis_pipeline import Command, exchange, is_one_server

if TYPE_CHECKING:
    from redis import Redis

#: proto-max-bulk-len: a larger value breaks the connection off.
_LARGEST_VALUE: Final = 512 * 2**20
#: Of one call of a script.
_KEYS_AT_ONCE: Final = 100
#: What would bring pickle back, or break what is stored as it is.
_REFUSED_OPTIONS: Final = ("SERIALIZER", "COMPRESSOR")


class RedisCache(FragmentBackend, django_redis.cache.RedisCache[RawClient]):  # type: ignore[misc]
    """django-redis' cache as a backend of fragments.

    A reading user needs the permissions ``+get +mget`` and database 0 (others: ``+select``).
    """

    raw = True
    errors: ClassVar[tuple[type[Exception], ...]] = (RedisError, OSError)
    refusals: ClassVar[tuple[type[Exception], ...]] = (
        ResponseError,
        BusyLoadingError,
        MaxConnectionsError,  # of its pool: the server knows nothing of it
    )

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        given = params.get("OPTIONS") or {}
        defaults = SENTINEL_OPTIONS if "SENTINELS" in given else DEFAULT_OPTIONS
        options = {**defaults, **given}
        _check(server, options)
        super().__init__(server, {**params, "OPTIONS": options})  # type: ignore[call-arg, arg-type]
        self.max_value_bytes = options.get("MAX_VALUE_BYTES", _LARGEST_VALUE)

    def refuses(self, error: Exception) -> bool:
        # redis-py has no class of its own for this one.
        return super().refuses(error) or "max number of clients reached" in str(error)

    def get(
        self, key: str, default: Any = None, version: int | None = None, client: Any = None
    ) -> Any:
        value = super().get(key, default, version, client)  # type: ignore[call-arg]
        return default if value is raw.MISSING else value

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = list(keys)
        if not names:
            return {}
        replies = self._connection(write=False).mget(self.make_keys(names, version))
        found = {}
        for name, reply in zip(names, cast("list[bytes | None]", replies), strict=True):
            if reply is None:
                continue
            # Optimisation: sealed values begin with an "f", and none of raw's own forms does.
            value = reply if reply[:1] == b"f" else raw.loads(reply)
            if value is not raw.MISSING:
                found[name] = value
        return found

    def store_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> dict[str, str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        refused = self.too_large(stored)
        seconds = self.lifetime(timeout)
        is_over = seconds is not None and seconds <= 0
        life = expiry(seconds)
        commands: list[Command] = [
            ("DEL", name) if is_over or key in refused else ("SET", name, stored[key], *life)
            for key, name in zip(stored, self.make_keys(stored, version), strict=True)
        ]
        replies = zip(stored, self._pipelined(commands), strict=True)
        refused |= {key: str(reply) for key, reply in replies if isinstance(reply, ResponseError)}
        return refused

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        refused = self.too_large(stored)
        sent = [key for key in stored if key not in refused]
        life = expiry(self.lifetime(timeout))
        commands: list[Command] = [
            ("SET", name, stored[key], "NX", *life)
            for key, name in zip(sent, self.make_keys(sent, version), strict=True)
        ]
        replies = _accepted(self._pipelined(commands))
        added = {key for key, reply in zip(sent, replies, strict=True) if reply}
        return [key for key in stored if key not in added]

    def touch(
        self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        # django-redis' own calls a key missing that has no expiry to remove.
        return not self.touch_many([key], timeout, version=version)

    def touch_many(
        self,
        keys: Iterable[str],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        names = list(keys)
        seconds = self.lifetime(timeout)
        milliseconds = "" if seconds is None else int(seconds * 1000)
        replies = self._scripted(TOUCH, self.make_keys(names, version), (milliseconds,))
        return [name for name, reply in zip(names, replies, strict=True) if not reply]

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        commands: list[Command] = [("DEL", name) for name in self.make_keys(keys, version)]
        _accepted(self._pipelined(commands))

    def advance_many(
        self,
        values: Mapping[str, Advance],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        refused = self.too_large({key: advance.value for key, advance in values.items()})
        sent = [key for key in values if key not in refused]
        milliseconds = expiry(self.lifetime(timeout))[1:] or ("",)
        replies = self._scripted(
            ADVANCE,
            self.make_keys(sent, version),
            (horizon(), *milliseconds),
            [(raw.dumps(values[key].value), values[key].seen or b"") for key in sent],
        )
        advanced = {key for key, reply in zip(sent, replies, strict=True) if reply}
        return [key for key in values if key not in advanced]

    def server_stats(self) -> list[ServerStats]:
        """Return the figures of the server; with SENTINELS, of the primary, and what those say."""
        return ask_all(questions(self.client))

    def _connection(self, *, write: bool) -> Redis:
        connection: Redis = self.client.get_client(write=write)
        return connection

    def _scripted(
        self,
        script: Script,
        names: Sequence[str],
        common: tuple[Any, ...],
        each: Sequence[tuple[Any, ...]] = (),
    ) -> list[Any]:
        """Return what a script answers for keys, given what all have in common and each has."""
        # Optimisation: a third of the time of a command for each key; one alone keeps others
        # waiting for a fraction of a millisecond.
        size = _KEYS_AT_ONCE if is_one_server(self._connection(write=True)) else 1
        parts = [slice(start, start + size) for start in range(0, len(names), size)]
        commands: list[Command] = [
            (
                *("EVALSHA", script.sha1, len(names[part]), *names[part], *common),
                *itertools.chain.from_iterable(each[part]),
            )
            for part in parts
        ]
        replies = self._pipelined(commands)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            self._connection(write=True).script_load(script.text)
            replies = self._pipelined(commands)
        return list(itertools.chain.from_iterable(_accepted(replies)))

    def _pipelined(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip; return the replies, errors of single ones among them."""
        return exchange(self._connection(write=True), commands) if commands else []


def _check(server: Any, options: Mapping[str, Any]) -> None:
    """Refuse what would bring pickle back, or read what a replica has not heard of yet.

    Raises:
        ImproperlyConfigured: an option or LOCATION would.
    """
    for name in _REFUSED_OPTIONS:
        if name in options:
            raise ImproperlyConfigured(
                f"OPTIONS[{name!r}] is {options[name]!r}, but RedisCache of fragcache stores "
                "bytes as they are: remove it, or use another alias of CACHES."
            )
    if not issubclass(import_string(options["CLIENT_CLASS"]), RawClient):
        raise ImproperlyConfigured(
            f"OPTIONS['CLIENT_CLASS'] is {options['CLIENT_CLASS']!r}, which pickles, and may read "
            f"from replicas: remove it, or name a subclass of {RawClient.__qualname__}."
        )
    urls = server.split(",") if isinstance(server, str) else server
    if len(urls) > 1:
        raise ImproperlyConfigured(
            f"LOCATION names {len(urls)} servers: django-redis would read from all but the first, "
            "and a replica may not have heard of an invalidation yet. Name the primary alone; "
            "SENTINELS in OPTIONS, or RedisClusterCache, find it when it changes."
        )
    try:
        parse_url(urls[0])  # type: ignore[no-untyped-call]
    except ValueError as error:
        shown = urls[0].rpartition("@")[2]  # without a password
        raise ImproperlyConfigured(
            f"LOCATION is {shown!r}, which is no address of a server ({error}): write "
            "redis://host:port/0, rediss://host:port/0 or unix:///path."
        ) from error
    if "is_master" in parse_qs(urlsplit(urls[0]).query):
        raise ImproperlyConfigured(
            "LOCATION says is_master, but fragments are read from the primary alone: a replica "
            "may not have heard of an invalidation yet. Remove it."
        )


def _accepted(replies: list[Any]) -> list[Any]:
    """Return ``replies``; raise the first error among them."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return replies
