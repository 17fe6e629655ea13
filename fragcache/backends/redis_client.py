"""How the Redis backend connects and what it sends: django-redis' client, without pickle."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from django_redis import pool  # type: ignore[import-untyped]
from django_redis.client import DefaultClient  # type: ignore[import-untyped]
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from fragcache.backends import raw
from fragcache.backends.names import connected
from fragcache.backends.timed_socket import TimedSocket, TimedTLSSocket, connecting

if TYPE_CHECKING:
    from redis import ConnectionPool, Redis

#: ``OPTIONS`` of django-redis, as far as CACHES does not set them; time-outs in seconds.
DEFAULT_OPTIONS: Final[Mapping[str, Any]] = {
    "CLIENT_CLASS": "fragcache.backends.redis_client.RawClient",
    "CONNECTION_FACTORY": "fragcache.backends.redis_client.ConnectionFactory",
    "SOCKET_CONNECT_TIMEOUT": 0.25,
    "SOCKET_TIMEOUT": 0.5,
}

#: The same, where a primary is found through Sentinels.
SENTINEL_OPTIONS: Final[Mapping[str, Any]] = {
    **DEFAULT_OPTIONS,
    "CONNECTION_FACTORY": "fragcache.backends.redis_client.SentinelConnectionFactory",
}

#: Once more, at once: a server that was started anew has closed the connections of its pool.
#: redis-py's own retries wait for seconds.
_RETRY: Final = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
#: What redis-py gets unless OPTIONS say otherwise. By RESP3 each connection begins with a HELLO to
#: wait for, and nothing here needs it.
CONNECTION_DEFAULTS: Final[Mapping[str, Any]] = {"retry": _RETRY, "protocol": 2}

#: Whether this release of redis-py takes what to tell.
_CAN_BE_TOLD: Final = find_spec("redis.driver_info") is not None


class Script(NamedTuple):
    """A script of Redis that answers with a number for each of its keys."""

    text: str
    sha1: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


#: Writes sealed values unless one of higher rank is there; see base.Advance. The rank lies in
#: bytes 8 to 16; a number of Lua holds it exactly until the year 2255, and unlike its strings
#: compares the same in every locale.
#: ARGV: the highest rank that is believed, milliseconds or "", and for each key the value and
#: what was seen. Answers 1 where it was written.
ADVANCE: Final = _script("""
local function rank(value)
  local high, low = struct.unpack('>I4I4', value, 9)
  return high * 4294967296 + low
end
local function goes(stored, value, seen)
  if type(stored) ~= 'string' or #stored < 16 or string.sub(stored, 1, 2) ~= 'fc'
     or stored == seen then return true end
  local held = rank(stored)
  return held <= rank(value) or held > tonumber(ARGV[1])
end
local written = {}
for i, key in ipairs(KEYS) do
  local value, seen = ARGV[2 * i + 1], ARGV[2 * i + 2]
  if not goes(redis.pcall('GET', key), value, seen) then written[i] = 0
  else
    if ARGV[2] == '' then redis.call('SET', key, value)
    else redis.call('SET', key, value, 'PX', ARGV[2]) end
    written[i] = 1
  end
end
return written
""")

#: Lets values live on. ARGV: milliseconds or "". Answers 1 where there is a value.
TOUCH: Final = _script("""
local there = {}
for i, key in ipairs(KEYS) do
  if ARGV[1] == '' then
    redis.call('PERSIST', key)
    there[i] = redis.call('EXISTS', key)
  else there[i] = redis.call('PEXPIRE', key, ARGV[1]) end
end
return there
""")


def expiry(seconds: float | None) -> tuple[Any, ...]:
    """Return what SET needs to be told of a life in seconds; None is for ever."""
    # Redis refuses an expiry of zero.
    return () if seconds is None else ("PX", max(1, int(seconds * 1000)))


class RawClient(DefaultClient):  # type: ignore[misc]
    """django-redis' client for bytes: pickles nothing, compresses nothing."""

    def encode(self, value: Any, *, allow_int: bool = True) -> bytes:
        return raw.dumps(value)

    def decode(self, value: Any) -> Any:
        return raw.loads(value) if isinstance(value, bytes) else value


class _PoolsByOptions:
    """A pool for each set of parameters.

    django-redis keys them by URL alone: of two aliases with one LOCATION the second would get the
    time-outs of the first.
    """

    _own_pools: ClassVar[dict[str, ConnectionPool]] = {}

    def get_or_create_connection_pool(self, params: dict[str, Any]) -> ConnectionPool:
        factory: Any = self
        identity = repr((type(self).__qualname__, params, sorted(factory.options.items(), key=str)))
        if identity not in self._own_pools:
            made: ConnectionPool = factory.get_connection_pool(params)
            made.connection_class = TIMED.get(made.connection_class, made.connection_class)
            for name, value in CONNECTION_DEFAULTS.items():
                made.connection_kwargs.setdefault(name, value)
            self._own_pools[identity] = made
        return self._own_pools[identity]


class _Nameless:
    """Does not tell the server which library it is.

    That takes two round trips to begin with, and 1.7 ms to read it from the library's files.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if _CAN_BE_TOLD:
            kwargs.setdefault("driver_info", None)
        super().__init__(*args, **kwargs)


class TimedConnection(_Nameless, Connection):
    """A connection that keeps to the deadline in force, also while it connects."""

    def _connect(self) -> TimedSocket:
        given = self.host
        try:
            return connected(given, self.socket_connect_timeout, self._connected)
        finally:
            self.host = given

    def _connected(self, address: str) -> TimedSocket:
        self.host = address
        usual = self.socket_connect_timeout
        with connecting(usual) as self.socket_connect_timeout:
            try:
                return TimedSocket.over(super()._connect())  # type: ignore[no-untyped-call]
            finally:
                self.socket_connect_timeout = usual


class TimedSentinelConnection(TimedConnection, SentinelManagedConnection):
    """The same to whatever server the Sentinels call the primary when it connects."""


class TimedUnixConnection(_Nameless, UnixDomainSocketConnection):
    """The same over a socket of the file system."""

    def _connect(self) -> TimedSocket:
        return TimedSocket.over(super()._connect())  # type: ignore[no-untyped-call]


class TimedTLSConnection(SSLConnection, TimedConnection):
    """The same over TLS: first TCP is connected, then they shake hands."""

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> TimedTLSSocket:
        usual = sock.gettimeout()
        with connecting(self.socket_connect_timeout) as seconds:
            sock.settimeout(seconds)
            wrapped = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        wrapped.settimeout(usual)
        return TimedTLSSocket.over(wrapped)


class TimedTLSSentinelConnection(TimedTLSConnection, SentinelManagedSSLConnection):
    """The same to whatever server the Sentinels call the primary when it connects."""


#: What keeps to deadlines, by redis-py's classes.
TIMED: Final[Mapping[type, type]] = {
    Connection: TimedConnection,
    SSLConnection: TimedTLSConnection,
    SentinelManagedSSLConnection: TimedTLSSentinelConnection,
    SentinelManagedConnection: TimedSentinelConnection,
    UnixDomainSocketConnection: TimedUnixConnection,
}


class ConnectionFactory(_PoolsByOptions, pool.ConnectionFactory):  # type: ignore[misc]
    """Connections to one server, or to a primary and its replicas."""


class SentinelConnectionFactory(_PoolsByOptions, pool.SentinelConnectionFactory):  # type: ignore[misc]
    """Connections to whatever server the Sentinels call the primary.

    A connection asks them when it connects; when one of the process has found another primary than
    before, the idle ones to the former are closed.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        for sentinel in self._sentinel.sentinels:
            asked = sentinel.connection_pool
            asked.connection_class = TIMED.get(asked.connection_class, asked.connection_class)
            # The next Sentinel is the retry.
            asked.connection_kwargs["retry"] = Retry(NoBackoff(), 0)
            asked.connection_kwargs.setdefault("protocol", 2)

    @property
    def sentinels(self) -> Sequence[Redis]:
        """What asks each of them."""
        found: Sequence[Redis] = self._sentinel.sentinels
        return found
