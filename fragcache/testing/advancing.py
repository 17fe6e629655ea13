"""Sealed values advance in the order of their rank: the tests of ``advance_many``."""

from __future__ import annotations

import time

from fragcache.backends import Advance
from fragcache.testing.subjects import BackendSubject

_SECOND = 1_000_000


class AdvancingBehaviour(BackendSubject):
    """When a value replaces another, and when it stays away."""

    def test_a_value_advances_over_nothing(self) -> None:
        self._assert_advances(None, sealed(now()))

    def test_a_value_advances_over_one_of_lower_rank(self) -> None:
        self._assert_advances(sealed(now() - 1), sealed(now()))

    def test_ranks_are_compared_as_numbers(self) -> None:
        for lower, higher in ((0x7F, 0x80), (0xFF, 0x100), (2**32 - 1, 2**32), (9, 10)):
            self._assert_advances(sealed(lower), sealed(higher))
            self._assert_stays(sealed(higher), sealed(lower))

    def test_a_value_advances_over_one_of_its_own_rank(self) -> None:
        moment = now()
        self._assert_advances(sealed(moment, b"one"), sealed(moment, b"two"))

    def test_a_value_stays_behind_one_of_higher_rank_and_is_named(self) -> None:
        moment = now()
        self._assert_stays(sealed(moment), sealed(moment - 1))

    def test_a_value_stays_behind_one_that_is_ahead_by_as_much_as_clocks_differ(self) -> None:
        self._assert_stays(sealed(now() + 2 * _SECOND), sealed(now()))

    def test_a_value_from_the_future_is_not_believed(self) -> None:
        self._assert_advances(sealed(now() + 3600 * _SECOND), sealed(now()))
        self._assert_advances(sealed(2**64 - 1), sealed(now()))

    def test_a_value_advances_over_garbage(self) -> None:
        for garbage in (b"", b"f", b"fc", b"fc\x01H" + b"\xff" * 11, b"x" * 100, b"\x80pickle"):
            self._assert_advances(garbage, sealed(now()))

    def test_a_value_advances_over_what_was_seen_whatever_its_rank(self) -> None:
        moment = now()
        self._assert_advances(sealed(moment), sealed(moment - 1), seen=sealed(moment))

    def test_what_was_seen_and_has_changed_since_is_compared_by_rank(self) -> None:
        moment = now()
        self._assert_stays(sealed(moment), sealed(moment - 2), seen=sealed(moment - 1))
        self._assert_stays(sealed(moment, b"a"), sealed(moment - 2), seen=sealed(moment, b"b"))

    def test_each_key_of_a_batch_is_judged_alone(self) -> None:
        moment = now()
        lower, same, absent = self.key("lower"), self.key("same"), self.key("absent")
        self.backend.set_many({lower: sealed(moment + 1), same: sealed(moment)}, 60)
        batch = {key: Advance(sealed(moment, b"new")) for key in (lower, same, absent)}
        assert self.backend.advance_many(batch, 60) == [lower]
        assert self.backend.get_many(list(batch)) == {
            lower: sealed(moment + 1),
            same: sealed(moment, b"new"),
            absent: sealed(moment, b"new"),
        }

    def test_a_thousand_values_advance_in_one_call(self) -> None:
        moment = now()
        batch = {self.key(str(n)): Advance(sealed(moment)) for n in range(self.many)}
        assert self.backend.advance_many(batch, 60) == []
        behind = {key: Advance(sealed(moment - 1)) for key in batch}
        assert sorted(self.backend.advance_many(behind, 60)) == sorted(batch)

    def test_a_value_that_is_too_large_does_not_advance(self) -> None:
        backend = self.variant()
        backend.max_value_bytes = 1000
        large = {self.key("a"): Advance(sealed(now(), b"x" * 1000))}
        assert backend.advance_many(large, 60) == [self.key("a")]
        assert backend.get_many([self.key("a")]) == {}

    def _assert_advances(
        self, stored: bytes | None, value: bytes, seen: bytes | None = None
    ) -> None:
        key = self.key("a")
        if stored is not None:
            self.backend.set_many({key: stored}, 60)
        assert self.backend.advance_many({key: Advance(value, seen=seen)}, 60) == []
        assert self.backend.get_many([key]) == {key: value}

    def _assert_stays(self, stored: bytes, value: bytes, seen: bytes | None = None) -> None:
        key = self.key("a")
        self.backend.set_many({key: stored}, 60)
        assert self.backend.advance_many({key: Advance(value, seen=seen)}, 60) == [key]
        assert self.backend.get_many([key]) == {key: stored}


def sealed(rank: int, payload: bytes = b"") -> bytes:
    """Return what a cache server sees of a sealed value: magic, format, kind, lengths, rank."""
    return b"fc\x01H" + bytes(4) + rank.to_bytes(8) + payload


def now() -> int:
    """Return the microseconds since 1970."""
    return time.time_ns() // 1000
