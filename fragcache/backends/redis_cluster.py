"""Redis Cluster: raw bytes, time-outs, and bulk in one round trip to each node.

    CACHES = {"fragments": {"BACKEND": "fragcache.backends.redis_cluster.RedisClusterCache",
                            "LOCATION": ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]}}

LOCATION names some nodes, of which one must answer when a process starts; user name and password
of the first are those of all. OPTIONS: SOCKET_CONNECT_TIMEOUT, SOCKET_TIMEOUT (seconds),
MAX_VALUE_BYTES, USERNAME, PASSWORD, CONNECTION_POOL_KWARGS (further arguments of redis-py's
connections). The nodes need ``cluster-require-full-coverage no``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import cached_property

from fragcache import local, token_memory
from fragcache.backends import raw
from fragcache.backends.base import Advance, BulkBackend, NodeLost, ServerStats, horizon
from fragcache.backends.options import options_of

try:
    from redis.exceptions import NoScriptError, RedisError, ResponseError

    from fragcache.backends.redis_client import ADVANCE, expiry
    from fragcache.backends.redis_nodes import Nodes
    from fragcache.backends.redis_pipeline import Command
except ImportError as error:
    raise ImproperlyConfigured(
        f"RedisClusterCache needs redis ({error}): pip install fragcache[redis]"
    ) from error

from fragcache.backends.redis_slots import COPIES, wire_name

DEFAULT_OPTIONS: Final[Mapping[str, Any]] = {
    "SOCKET_CONNECT_TIMEOUT": 0.25,
    "SOCKET_TIMEOUT": 0.5,
    "MAX_VALUE_BYTES": 512 * 2**20,
    "CONNECTION_POOL_KWARGS": {},
}
_FURTHER_OPTIONS: Final = ("USERNAME", "PASSWORD")


class RedisClusterCache(BulkBackend):
    """A cluster in which a lost node costs its share of misses and nothing else.

    Everything is read from primaries. Reads of a lost node's keys find nothing and writes to it
    are refused. Adding, advancing and deleting raise where nobody could be asked, since their
    answer is acted upon.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (RedisError, OSError)
    refusals: ClassVar[tuple[type[Exception], ...]] = (ResponseError, NodeLost)
    token_copies = COPIES

    def __init__(self, server: str | Sequence[str], params: dict[str, Any]) -> None:
        super().__init__(params)
        options = options_of("RedisClusterCache's", params, DEFAULT_OPTIONS, _FURTHER_OPTIONS)
        self.max_value_bytes = options.pop("MAX_VALUE_BYTES")
        further = options.pop("CONNECTION_POOL_KWARGS")
        self._options = {name.lower(): value for name, value in options.items()} | further
        self._urls = _urls(server)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        asked = self._asked(keys, version)
        # MGET takes the keys of one slot alone.
        replies = self._accepted({wire: ("GET", wire) for wire in asked})
        found = {}
        for wire, reply in replies.items():
            if reply is None:
                continue
            # Optimisation: sealed values begin with an "f", and none of raw's own forms does.
            value = reply if reply[:1] == b"f" else raw.loads(reply)
            if value is not raw.MISSING:
                found[asked[wire]] = value
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
        asked = self._asked(stored, version)
        replies, failures = self._nodes.exchange(
            {
                wire: ("DEL", wire)
                if is_over or key in refused
                else ("SET", wire, stored[key], *life)
                for wire, key in asked.items()
            }
        )
        for wire, reply in (*replies.items(), *failures.items()):
            if isinstance(reply, Exception):
                refused.setdefault(asked[wire], str(reply))
        return refused

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        stored = {key: raw.dumps(value) for key, value in data.items()}
        refused = self.too_large(stored)
        life = expiry(self.lifetime(timeout))
        asked = self._asked([key for key in stored if key not in refused], version)
        replies = self._decisive(
            {wire: ("SET", wire, stored[key], "NX", *life) for wire, key in asked.items()}
        )
        added = {asked[wire] for wire, reply in replies.items() if reply}
        return [key for key in stored if key not in added]

    def touch_many(
        self,
        keys: Iterable[str],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        asked = self._asked(keys, version)
        seconds = self.lifetime(timeout)
        if seconds is None:
            replies = self._accepted({wire: ("PERSIST", wire) for wire in asked})
            # What has no expiry to remove may be there all the same.
            replies |= self._accepted(
                {wire: ("EXISTS", wire) for wire, reply in replies.items() if not reply}
            )
        else:
            life = int(seconds * 1000)
            replies = self._accepted({wire: ("PEXPIRE", wire, life) for wire in asked})
        return [key for wire, key in asked.items() if not replies.get(wire)]

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        self._deleted(self._asked(keys, version))

    def delete(self, key: str, version: int | None = None) -> bool:
        return any(self._deleted(self._asked([key], version)).values())

    def advance_many(
        self,
        values: Mapping[str, Advance],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        refused = self.too_large({key: advance.value for key, advance in values.items()})
        asked = self._asked([key for key in values if key not in refused], version)
        milliseconds = expiry(self.lifetime(timeout))[1:] or ("",)
        common = (horizon(), *milliseconds)
        sent: dict[bytes, Command] = {
            wire: (1, wire, *common, raw.dumps(values[key].value), values[key].seen or b"")
            for wire, key in asked.items()
        }
        # A script takes the keys of one slot alone.
        replies = self._decisive({wire: ("EVALSHA", ADVANCE.sha1, *sent[wire]) for wire in sent})
        unknown = [wire for wire, reply in replies.items() if isinstance(reply, NoScriptError)]
        if unknown:
            replies |= self._decisive(
                {wire: ("EVAL", ADVANCE.text, *sent[wire]) for wire in unknown}
            )
        advanced = {asked[wire] for wire, reply in replies.items() if reply == [1]}
        return [key for key in values if key not in advanced]

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        (wire,) = self._asked([key], version)
        if not self._known({wire: ("EXISTS", wire)})[wire]:
            raise ValueError(f"Key {key!r} not found")
        counted: int = self._known({wire: ("INCRBY", wire, delta)})[wire]
        return counted

    def clear(self) -> None:
        self._nodes.flush()
        local.clear_all()
        token_memory.forget_all()

    def server_stats(self) -> list[ServerStats]:
        return self._nodes.server_stats()

    @cached_property
    def _nodes(self) -> Nodes:
        return Nodes.shared(self._urls, self._options)

    def _asked(self, keys: Iterable[str], version: int | None) -> dict[bytes, str]:
        """Return the keys by what the cluster knows them as."""
        names = list(keys)
        wires = map(wire_name, self.make_keys(names, version))
        return dict(zip(wires, names, strict=True))

    def _deleted(self, wires: Iterable[bytes]) -> dict[bytes, Any]:
        return self._known({wire: ("DEL", wire) for wire in wires})

    def _accepted(self, commands: Mapping[bytes, Command]) -> dict[bytes, Any]:
        """Return the replies of the nodes that answer; raise what one of them refuses."""
        replies, _failures = self._nodes.exchange(commands)
        for reply in replies.values():
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    def _decisive(self, commands: Mapping[bytes, Command]) -> dict[bytes, Any]:
        """Return the replies to commands of which the caller must know what became of them."""
        replies, failures = self._nodes.exchange(commands)
        if not replies:
            _raise(failures)
        for reply in replies.values():
            if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError):
                raise reply
        return replies

    def _known(self, commands: Mapping[bytes, Command]) -> dict[bytes, Any]:
        """Return the replies to commands all of which must have been done."""
        replies, failures = self._nodes.exchange(commands)
        _raise(failures)
        for reply in replies.values():
            if isinstance(reply, ResponseError):
                raise reply
        return replies


def _raise(failures: Mapping[bytes, Exception]) -> None:
    for error in failures.values():
        raise NodeLost(str(error)) from error


def _urls(server: str | Sequence[str]) -> list[str]:
    """Return the addresses that LOCATION names.

    Raises:
        ImproperlyConfigured: it names none, or a database, which a cluster does not have.
    """
    urls = server.split(",") if isinstance(server, str) else list(server)
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss"} or parts.path.strip("/") not in {"", "0"}:
            raise ImproperlyConfigured(
                f"LOCATION names {parts.hostname or url!r} in a way that RedisClusterCache does "
                "not understand: write redis://host:port or rediss://host:port. A cluster has the "
                "database 0 alone."
            )
    return urls
