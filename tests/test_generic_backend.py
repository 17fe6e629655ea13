"""Caches that fragcache has no backend for: what the slow defaults make of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import BaseCache, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache

from fragcache.backends import Advance, GenericBackend, adapt, base
from fragcache.testing.advancing import now, sealed
from tests import unpickling
from tests.stopwatch import Stopwatch


class Recording(LocMemCache):
    """Notes the time-outs that it is given, and answers as django-redis does."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, params)
        self.timeouts: list[Any] = []

    def set_many(self, data: Any, timeout: Any = None, version: Any = None) -> Any:
        self.timeouts.append(timeout)
        super().set_many(data, timeout, version)


class Coarse(BaseCache):
    """A cache of a third party, of which nothing is known."""

    def __init__(self) -> None:
        super().__init__({"TIMEOUT": 30})
        self.timeouts: list[Any] = []

    def set(self, key: Any, value: Any, timeout: Any = None, version: Any = None) -> None:
        self.timeouts.append(timeout)


@pytest.fixture
def locmem(request: pytest.FixtureRequest) -> LocMemCache:
    return LocMemCache(request.node.name, {})


def test_a_backend_of_fragments_is_taken_as_it_is() -> None:
    assert adapt(caches["embedded"]) is caches["embedded"]


def test_another_cache_is_wrapped_and_promises_neither_raw_bytes_nor_more_copies() -> None:
    backend = adapt(caches["locmem"])
    assert isinstance(backend, GenericBackend)
    assert not backend.raw
    assert backend.token_copies == 1
    assert backend.errors == (Exception,)
    assert backend.server_stats() == []


def test_only_caches_of_one_process_are_not_shared(tmp_path: Any) -> None:
    assert not adapt(LocMemCache("", {})).shared
    assert not adapt(DummyCache("", {})).shared
    assert adapt(FileBasedCache(str(tmp_path), {})).shared
    assert adapt(caches["database"]).shared


def test_an_answer_of_none_to_set_many_means_that_nothing_failed() -> None:
    cache = Recording("none", {})
    assert adapt(cache).set_many({"a": b"1"}, 60) == []
    assert cache.get("a") == b"1"


def test_single_keys_are_written_and_deleted_too(locmem: LocMemCache) -> None:
    backend = adapt(locmem)
    backend.set("a", b"1", 60)
    assert locmem.get("a") == b"1"
    assert backend.delete("a")
    assert not backend.delete("a")


def test_values_that_are_not_bytes_are_absent(locmem: LocMemCache) -> None:
    locmem.set_many({"text": "1", "number": 1, "none": None, "bytes": b"1"})
    backend = adapt(locmem)
    assert backend.get_many(["text", "number", "none", "bytes"]) == {"bytes": b"1"}
    assert backend.get("text", b"default") == b"default"


def test_values_that_cannot_be_unpickled_are_absent_alone(locmem: LocMemCache) -> None:
    locmem.set_many({"bad": b"1", "good": b"1"})
    locmem._cache[locmem.make_key("bad")] = b"cno_such_module\nthing\n."  # type: ignore[attr-defined]
    backend = adapt(locmem)
    with unpickling.allowed():
        assert backend.get_many(["bad", "good"]) == {"good": b"1"}
        assert backend.get("bad") is None


def test_where_fractions_of_a_second_are_dropped_values_are_kept_longer() -> None:
    cache = Coarse()
    for timeout in (0.2, 1, 60.5, None, 0):
        adapt(cache).set_many({"a": b"1"}, timeout)
    adapt(cache).set_many({"a": b"1"})
    assert cache.timeouts == [2, 2, 62, None, 0, 31]


def test_where_they_are_kept_the_timeout_is_as_asked() -> None:
    cache = Recording("exact", {})
    adapt(cache).set_many({"a": b"1"}, 0.2)
    assert cache.timeouts == [0.2]


def test_values_too_large_for_memcached_are_refused_before_it_is_asked(settings: Any) -> None:
    settings.CACHES = settings.CACHES | {
        "nowhere": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": "127.0.0.1:1",
        }
    }
    backend = adapt(caches["nowhere"])
    assert backend.add_many({"a": b"x" * 2**20}, 60) == ["a"]


def test_the_lock_of_a_writer_that_was_killed_ends_by_itself(locmem: LocMemCache) -> None:
    locmem.add("head:advance", b"1", 0.2)
    assert adapt(locmem).advance_many({"head": Advance(sealed(now()))}, 60) == []
    assert locmem.get("head:advance") is None


def test_a_lock_that_stays_is_an_error_that_names_the_key(
    locmem: LocMemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "LOCK_WAIT", 0.05)
    locmem.add("locked:advance", b"1", 60)
    values = {key: Advance(sealed(now())) for key in ("locked", "free")}
    with (
        Stopwatch() as watch,
        pytest.raises(TimeoutError, match=r"'locked' is locked by another writer for 0\.05 s"),
    ):
        adapt(locmem).advance_many(values, 60)
    assert watch.seconds < 1
    assert locmem.get("free") == values["free"].value
    assert locmem.get("locked") is None


def test_a_lock_is_released_when_the_cache_fails(
    locmem: LocMemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(locmem, "get_many", fail)
    with pytest.raises(ConnectionError, match="gone"):
        adapt(locmem).advance_many({"head": Advance(sealed(now()))}, 60)
    assert locmem.get("head:advance") is None


def test_a_dummy_takes_everything_and_has_nothing() -> None:
    backend = adapt(DummyCache("", {}))
    assert backend.set_many({"a": b"1"}, 60) == []
    assert backend.get_many(["a"]) == {}
    assert backend.add_many({"a": b"1"}, 60) == []
    assert backend.touch_many(["a"], 60) == ["a"]
    assert backend.advance_many({"a": Advance(sealed(now()))}, 60) == []
