"""The store: one cache alias as fragments use it, in sealed values and in bulk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING

from django.core.cache import caches
from django.core.signals import setting_changed

from fragcache import conf, probing
from fragcache.backends.base import Advance, FragmentBackend
from fragcache.backends.generic import adapt
from fragcache.breaker import Breaker
from fragcache.counters import degrade
from fragcache.entry import FUTURE_TOLERANCE_US, Entry, Ring, Unsealed
from fragcache.events import Event
from fragcache.exceptions import CacheUnavailable, ReadOnly, UnknownAlias
from fragcache.local import LocalCache
from fragcache.page import now
from fragcache.physical_keys import PhysicalKeys
from fragcache.signals import guard_probed
from fragcache.suggestions import did_you_mean
from fragcache.tracing import recording

if TYPE_CHECKING:
    from collections.abc import Sequence


class Store(PhysicalKeys):
    """Sealed values under the keys of one alias of ``settings.CACHES``.

    Every method is one round trip and raises ``CacheUnavailable`` where the cache fails. Values
    that are not believed (altered, foreign, of another release) are absent, counted and logged.
    """

    def __init__(self, alias: str, secrets: Sequence[str], *, read_only: bool) -> None:
        super().__init__(alias)
        self._ring = Ring(secrets)
        #: What was believed of tokens, by what the server sees of their keys.
        self.believed: dict[str, tuple[bytes, Entry]] = {}
        self.is_writable = not read_only and self._ring.can_seal

    @property
    def backend(self) -> FragmentBackend:
        """The cache of this thread, as django.core.cache keeps one per thread."""
        return adapt(caches[self.alias])

    @cached_property
    def local(self) -> LocalCache:
        """The process's copies of entries."""
        return LocalCache(conf.settings().LOCAL_MAX_BYTES if self.backend.stores else 0)

    @cached_property
    def reads(self) -> Breaker:
        """What tells whether the cache can be read from."""
        return self._breaker("reading", self._probe)

    @cached_property
    def writes(self) -> Breaker:
        """What tells whether the cache can be written to; what it refuses is no failure."""
        return self._breaker("writing", self._probe_writing)

    @cached_property
    def is_shared(self) -> bool:
        """Whether other processes read what this one writes."""
        return self.backend.shared

    @cached_property
    def token_copies(self) -> int:
        """Under how many keys a token lies."""
        return self.backend.token_copies

    def check_writable(self) -> None:
        """Raise ``ReadOnly`` where this site may not write, with the reason."""
        if not self.is_writable:
            self._ring.check_can_seal()
            raise ReadOnly.of(self.alias)

    def read_many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the believed values among those under ``keys``."""
        return self.open_many(self.fetch_many(keys))

    def fetch_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return values as they are stored, unverified."""
        wanted = list(keys)
        if not wanted:
            return {}
        with self._failures_named():
            return self.backend.get_many(wanted)

    def open_many(self, stored: Mapping[str, bytes]) -> dict[str, Entry]:
        """Return the believed values among those that ``fetch_many`` returned."""
        unseal, physical_key = self._ring.open, self.physical_key
        limit = now() + FUTURE_TOLERANCE_US
        believed = {}
        for key, data in stored.items():
            opened = unseal(physical_key(key), data)
            if opened.__class__ is Entry and opened.as_of <= limit:
                believed[key] = opened
            else:
                self._complain(key, opened)
        return believed

    def unbelieved(self, keys: Iterable[str], stored: Mapping[str, bytes]) -> dict[str, Event]:
        """Return as what values count that ``open_many`` has left out."""
        opened = {key: self._ring.open(self.physical_key(key), stored[key]) for key in keys}
        return {
            key: Event.UNKNOWN_KEY if found is Unsealed.UNKNOWN_KEY else Event.UNBELIEVED
            for key, found in opened.items()
        }

    def seals_like(self, data: bytes) -> bool:
        """Whether ``data``, which is believed, is sealed with the first of the secret keys."""
        return self._ring.seals_like(data)

    def _complain(self, key: str, opened: Entry | Unsealed) -> None:
        named = _without_arguments(key)
        if opened is Unsealed.UNKNOWN_KEY:
            message = (
                "%r in the cache alias %r is sealed with a key that is not in "
                'FRAGCACHE["SECRET_KEYS"]: sites that share entries must share them.'
            )
            degrade(Event.UNKNOWN_KEY, "", opened.value, message, named, self.alias)
            return
        reason = opened.value if isinstance(opened, Unsealed) else "dated in the future"
        message = "%r in the cache alias %r is not believed: %s."
        degrade(Event.UNBELIEVED, "", reason, message, named, self.alias, reason)

    def write_many(self, entries: Mapping[str, Entry], timeout: float | None) -> dict[str, str]:
        """Store entries for ``timeout`` seconds (None: for ever); return what is refused, and why.

        The reason is the cache's own, without what the value holds.
        """
        if not entries:
            return {}
        with self._writing():
            return self.backend.store_many(self._sealed(entries), timeout)

    def add_many(self, entries: Mapping[str, Entry], timeout: float | None) -> set[str]:
        """Store what is absent; return the keys that were there already."""
        with self._writing():
            return set(self.backend.add_many(self._sealed(entries), timeout))

    def advance_many(
        self,
        entries: Mapping[str, Entry],
        timeout: float | None,
        seen: Mapping[str, bytes] | None = None,
    ) -> set[str]:
        """Store records unless a later one (by ``as_of``) is there; return the keys that stayed.

        ``seen`` holds stored values that the caller read and decided to replace, whatever their
        ``as_of``.
        """
        if not entries:
            return set()
        known = seen or {}
        sealed = self._sealed(entries)
        values = {key: Advance(data, known.get(key)) for key, data in sealed.items()}
        with self._writing():
            return set(self.backend.advance_many(values, timeout))

    def touch_many(self, keys: Iterable[str], timeout: float | None) -> set[str]:
        """Let values live for ``timeout`` seconds from now; return the keys that are missing."""
        wanted = list(keys)
        if not wanted:
            return set()
        with self._writing():
            return set(self.backend.touch_many(wanted, timeout))

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete what is under ``keys``."""
        with self._writing():
            self.backend.delete_many(list(keys))

    def _probe(self) -> None:
        """Read in a thread of its own; raise an exception where that would keep pages waiting."""
        probing.ask(self.backend, lambda: self.backend.get_many([probing.KEY]))

    def _probe_writing(self) -> None:
        """Write what changes nothing, likewise, once the cache can be read from."""
        if self.reads.open_since is not None:
            raise CacheUnavailable(f"alias {self.alias!r} cannot be read from yet")
        probing.ask(self.backend, lambda: self.backend.touch_many([probing.KEY], 1))

    def _breaker(self, purpose: str, probe: Callable[[], None]) -> Breaker:
        alias = self.alias

        def tell(since: datetime, is_open: bool) -> None:
            about = {"alias": alias, "purpose": purpose, "opened_at": since, "is_open": is_open}
            guard_probed.send_robust(Breaker, **about)
            if purpose == "reading" and not is_open:  # writing waits for that
                self.writes.hasten()

        return Breaker(f"the cache alias {alias!r}, for {purpose}", probe, tell)

    def _sealed(self, entries: Mapping[str, Entry]) -> dict[str, bytes]:
        seal, physical_key = self._ring.seal, self.physical_key
        return {key: seal(physical_key(key), entry) for key, entry in entries.items()}

    def _writing(self) -> AbstractContextManager[None]:
        self.check_writable()
        return self._failures_named()

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        began = time.perf_counter_ns() if recording.is_on else 0
        try:
            yield
        except self.backend.errors as error:
            raise CacheUnavailable(
                f"alias {self.alias!r}: {type(error).__name__}: {error}",
                is_refusal=self.backend.refuses(error),
            ) from error
        finally:
            if began:
                recording.note_round_trip(time.perf_counter_ns() - began)


def store(alias: str | None = None) -> Store:
    """Return the store over ``alias``, or over the one that the settings name.

    Raises:
        UnknownAlias: ``CACHES`` has no such alias.
    """
    return _store(alias or _default_alias())


def _without_arguments(key: str) -> str:
    """Return a key as logs have it, which hold no values that a visitor has given."""
    named = ":".join(key.split(":", 2)[:2])
    return key if named == key else f"{named}:..."


@cache
def _store(alias: str) -> Store:
    if alias not in caches.settings:
        known = did_you_mean(alias, caches.settings)
        raise UnknownAlias(f"{alias!r} is not an alias of CACHES.{known}")
    settings = conf.settings()
    return Store(alias, settings.secret_keys, read_only=settings.READ_ONLY)


@cache
def _default_alias() -> str:
    return conf.settings().cache_alias


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting in {"FRAGCACHE", "CACHES", "SECRET_KEY", "SECRET_KEY_FALLBACKS"}:
        _store.cache_clear()
        _default_alias.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.store")
