"""How a backend of fragments behaves: the tests that each one passes.

    class TestMyCache(BackendBehaviour):            # pytest; or (BackendBehaviour, TestCase)
        alias = "mine"                              # of settings.CACHES

Tests ask what the backend's attributes promise: ``shared``, ``raw``. Keys are new in every test and
nothing is flushed. A cache of pickles is asked for the same, through ``adapt``.
"""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Callable
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from fragcache.backends import Advance, ServerStats, adapt
from fragcache.testing.advancing import AdvancingBehaviour, now, sealed
from fragcache.testing.racing import RacingBehaviour

#: Seconds until a value with a time-out of half a second is gone from every cache.
_GONE_AFTER = 4.0


class BackendBehaviour(AdvancingBehaviour, RacingBehaviour):
    """Every rule of ``FragmentBackend``, for the cache alias ``alias``."""

    def test_what_is_set_is_what_is_got(self) -> None:
        values = {self.key("a"): b"fc\x01one", self.key("b"): b"fc\x01two"}
        assert self.backend.set_many(values, 60) == []
        assert self.backend.get_many(list(values)) == values

    def test_absent_keys_are_absent_from_the_answer(self) -> None:
        self.backend.set_many({self.key("a"): b"1"}, 60)
        found = self.backend.get_many([self.key("a"), self.key("absent")])
        assert found == {self.key("a"): b"1"}

    def test_every_byte_survives(self) -> None:
        values = {
            self.key("all"): bytes(range(256)) * 5,
            self.key("empty"): b"",
            self.key("lines"): b"\r\nEND\r\nSTORED\r\n",
            self.key("number"): b"12",
            self.key("padded"): b"9 ",
            self.key("form"): b"\x00jnull",
            self.key("escaped"): b"\x00b\x00j",
        }
        self.backend.set_many(values, 60)
        assert self.backend.get_many(list(values)) == values

    def test_a_later_value_replaces_an_earlier_one(self) -> None:
        self.backend.set_many({self.key("a"): b"long enough"}, 60)
        self.backend.set_many({self.key("a"): b"short"}, 60)
        assert self.backend.get_many([self.key("a")]) == {self.key("a"): b"short"}

    def test_a_thousand_keys_fit_into_one_call(self) -> None:
        values = {self.key(str(n)): b"fc\x01%d" % n * 20 for n in range(self.many)}
        keys = list(values)
        assert self.backend.set_many(values, 60) == []
        assert self.backend.get_many(keys) == values
        assert self.backend.touch_many(keys, 60) == []
        assert sorted(self.backend.add_many(values, 60)) == sorted(keys)
        self.backend.delete_many(keys)
        assert self.backend.get_many(keys) == {}
        assert self.backend.touch_many(keys, 60) == keys

    def test_calls_with_nothing_do_nothing(self) -> None:
        backend = self.backend
        assert backend.get_many([]) == {}
        assert backend.set_many({}, 60) == []
        assert backend.add_many({}, 60) == []
        assert backend.touch_many([], 60) == []
        assert backend.advance_many({}, 60) == []
        backend.delete_many([])

    def test_keys_may_come_from_an_iterator(self) -> None:
        self.backend.set_many({self.key("a"): b"1"}, 60)
        assert self.backend.get_many(iter([self.key("a")])) == {self.key("a"): b"1"}
        assert self.backend.touch_many(iter([self.key("a")]), 60) == []
        self.backend.delete_many(iter([self.key("a")]))
        assert self.backend.get_many([self.key("a")]) == {}

    def test_deleting_what_is_absent_is_no_error(self) -> None:
        self.backend.delete_many([self.key("absent")])

    def test_values_live_as_long_as_asked_and_then_end(self) -> None:
        short, touched, kept, endless = (self.key(name) for name in ("s", "t", "k", "e"))
        advanced, lasting = self.key("advanced"), self.key("lasting")
        backend, new = self.backend, Advance(sealed(now()))
        began = time.monotonic()
        backend.set_many(dict.fromkeys([short, touched, kept, lasting], b"1"), 0.5)
        backend.set_many(dict.fromkeys([endless, advanced], b"1"), None)
        assert backend.touch_many([touched], 60) == []
        assert backend.touch_many([kept, endless], None) == []
        assert backend.touch_many([endless], None) == [], "has no expiry, but is there"
        assert backend.advance_many({advanced: new}, 0.5) == []
        assert backend.advance_many({lasting: new}, None) == []
        while backend.get_many([short, advanced]) and time.monotonic() < began + _GONE_AFTER:
            time.sleep(0.02)
        assert time.monotonic() >= began + 0.5, "gone too soon"
        found = backend.get_many([short, advanced, touched, kept, endless, lasting])
        assert sorted(found) == sorted([touched, kept, endless, lasting])
        assert backend.touch_many([short], 60) == [short], "expired, but touched"
        assert backend.get_many([short]) == {}, "a touch revived it"
        assert backend.add_many({short: b"2"}, 60) == [], "expired, but in the way"

    def test_a_timeout_of_zero_leaves_nothing(self) -> None:
        self.backend.set_many({self.key("a"): b"1"}, 60)
        self.backend.set_many({self.key("a"): b"2"}, 0)
        assert self.backend.get_many([self.key("a")]) == {}

    def test_touch_names_what_is_missing_and_does_not_make_it(self) -> None:
        self.backend.set_many({self.key("a"): b"1"}, 60)
        assert self.backend.touch_many([self.key("a"), self.key("b")], 60) == [self.key("b")]
        assert self.backend.get_many([self.key("b")]) == {}

    def test_add_stores_what_is_absent_and_names_the_rest(self) -> None:
        self.backend.set_many({self.key("a"): b"1"}, 60)
        added = {self.key("a"): b"2", self.key("b"): b"2"}
        assert self.backend.add_many(added, 60) == [self.key("a")]
        assert self.backend.get_many(list(added)) == {self.key("a"): b"1", self.key("b"): b"2"}

    def test_the_alias_has_a_timeout_of_its_own(self) -> None:
        backend = self.variant(TIMEOUT=0)
        backend.set_many({self.key("a"): b"1"})
        assert backend.get_many([self.key("a")]) == {}
        assert self.variant(TIMEOUT=None).lifetime(60) == 60

    def test_a_value_that_is_too_large_is_refused_alone(self) -> None:
        backend = self.variant()
        backend.max_value_bytes = 1000
        large, small = self.key("large"), self.key("small")
        backend.set_many({large: b"former"}, 60)
        assert backend.set_many({large: b"f" * 1001, small: b"f" * 1000}, 60) == [large]
        assert backend.get_many([large, small]) == {small: b"f" * 1000}
        assert backend.add_many({large: b"f" * 1001}, 60) == [large]

    def test_the_prefix_keeps_sites_apart(self) -> None:
        site, other = self.variant(KEY_PREFIX="site"), self.variant(KEY_PREFIX="other")
        self._assert_apart(site, other)

    def test_the_version_keeps_values_apart(self) -> None:
        self._assert_apart(self.variant(VERSION=1), self.variant(VERSION=2))
        backend = self.variant(VERSION=1)
        backend.set_many({self.key("v"): b"2"}, 60, version=2)
        assert backend.get_many([self.key("v")]) == {}
        assert backend.get_many([self.key("v")], version=2) == {self.key("v"): b"2"}
        assert self.variant(VERSION=2).get_many([self.key("v")]) == {self.key("v"): b"2"}

    def test_the_key_function_is_asked(self) -> None:
        upper = self.variant(KEY_FUNCTION=lambda key, prefix, version: f"u:{key}".upper())
        self._assert_apart(upper, self.variant())
        assert upper.get_many([self.key("A")]) == {self.key("A"): b"1"}

    def test_counting_is_native(self) -> None:
        self.cache.set(self.key("n"), 5, 60)
        assert self.cache.incr(self.key("n")) == 6
        assert self.cache.decr(self.key("n"), 4) == 2
        assert self.cache.get(self.key("n")) == 2

    def test_counting_what_is_absent_is_a_value_error(self) -> None:
        assert isinstance(_error(lambda: self.cache.incr(self.key("absent"))), ValueError)

    def test_a_raw_cache_never_loads_a_pickle(self) -> None:
        self.only_if(self.backend.raw)
        value = pickle.dumps(_Trap())
        self.backend.set_many({self.key("a"): value}, 60)
        assert self.backend.get_many([self.key("a")]) == {self.key("a"): value}
        assert self.cache.get(self.key("a")) == value

    def test_a_raw_cache_refuses_what_only_pickle_can_store(self) -> None:
        self.only_if(self.backend.raw)
        for value in ((1, 2), {1: "a"}, [object()], {"nested": {"deep": b"bytes"}}):
            error = _error(functools.partial(self.cache.set, self.key("a"), value, 60))
            assert isinstance(error, TypeError)
            assert "raw cache stores" in str(error)

    def test_it_is_a_cache_of_django_too(self) -> None:
        for value in ("text", "", 12, -12, 1.5, True, None, ["a", 1], {"a": [None]}, b"12"):
            self.cache.set(self.key("a"), value, 60)
            assert self.cache.get(self.key("a"), "default") == value
            assert type(self.cache.get(self.key("a"))) is type(value)
        self.cache.set(self.key("a"), mark_safe("<b>"), 60)
        assert isinstance(self.cache.get(self.key("a")), SafeString)
        assert self.key("a") in self.cache
        assert self.cache.touch(self.key("a"), 60)
        assert not self.cache.add(self.key("a"), "other", 60)
        assert self.cache.delete(self.key("a"))
        assert not self.cache.delete(self.key("a"))
        assert not self.cache.touch(self.key("a"), 60)
        assert self.cache.get(self.key("a"), "default") == "default"
        assert self.cache.add(self.key("a"), "other", 60)
        assert self.cache.get_or_set(self.key("a"), "third", 60) == "other"

    def test_servers_give_their_figures_within_a_second(self) -> None:
        began = time.monotonic()
        stats = self.backend.server_stats()
        assert time.monotonic() < began + 1
        for server in stats:
            assert isinstance(server, ServerStats)
            assert server.address
            assert server.figures
            assert not server.error

    def _assert_apart(self, one: Any, other: Any) -> None:
        key = self.key("A")
        adapt(other).delete_many([key])
        one.set_many({key: b"1"}, 60)
        assert one.get_many([key]) == {key: b"1"}
        assert other.get_many([key]) == {}
        assert other.touch_many([key], 60) == [key]
        assert other.add_many({key: b"2"}, 60) == []
        assert one.get_many([key]) == {key: b"1"}


class _Trap:
    """A pickle that runs code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_spring, ())


def _spring() -> None:
    raise AssertionError("a pickle was loaded")


def _error(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 (returned)
        return error
    return None
