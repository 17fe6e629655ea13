"""The bounded mapping: never larger than its bound, and what is read outlives what is not."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragcache.bounded import Bounded

ALPHABET = "abcdefghij"


def bounded(max_size: int) -> Bounded[str]:
    """Return a mapping of texts, whose size is their length."""
    return Bounded(max_size, size_of=len)


def kept(values: Bounded[str], names: range) -> int:
    """Return what is found under all of ``names`` at once takes."""
    return sum(len(value) for value in values.get_many(names) if value is not None)


class TestBound:
    @given(
        st.integers(0, 60),
        st.lists(
            st.tuples(st.booleans(), st.dictionaries(st.sampled_from(ALPHABET), st.integers(1, 9)))
        ),
    )
    def test_no_order_of_reads_and_writes_exceeds_it_or_confuses_values(
        self, max_size: int, steps: list[tuple[bool, dict[str, int]]]
    ) -> None:
        values = bounded(max_size)
        sizes: dict[str, int] = {}
        for writes, given_sizes in steps:
            # A name has one value for ever, as the key of an entry has.
            chosen = {name: sizes.setdefault(name, size) for name, size in given_sizes.items()}
            if writes:
                values.keep({name: name * size for name, size in chosen.items()})
            else:
                found = values.get_many(chosen)
                assert all(
                    value in {None, name * size}
                    for value, (name, size) in zip(found, chosen.items(), strict=True)
                )
            assert values.size <= max_size
            assert sum(len(value or "") for value in values.get_many(ALPHABET)) <= max_size
            assert values.size <= max_size

    def test_a_flood_does_not_exceed_it(self) -> None:
        values = bounded(1000)
        largest = 0
        for name in range(60_000):
            values.keep({name: "x" * (1 + name % 7)})
            largest = max(largest, values.size)

        assert 500 < largest <= 1000
        assert 0 < kept(values, range(60_000)) <= 1000

    def test_what_is_written_again_is_counted_once(self) -> None:
        values = bounded(100)
        for _again in range(50):
            values.keep({"name": "x" * 30})
        assert values.size == 30

    def test_what_is_dropped_takes_nothing_young_or_old(self) -> None:
        values = bounded(10)
        values.keep({"old": "x" * 5})
        values.keep({"young": "y" * 4})
        for name in ("old", "young", "none"):
            values.drop(name)
        assert values.size == 0
        assert values.get_many(["old", "young"]) == [None, None]

    def test_what_is_cleared_takes_nothing(self) -> None:
        values = bounded(10)
        values.keep(dict.fromkeys(range(9), "x"))
        values.clear()
        assert values.size == 0
        assert values.get_many(range(9)) == [None] * 9
        values.keep({"name": "x"})
        assert values.get_many(["name"]) == ["x"]
        assert values.size == 1

    @pytest.mark.parametrize("max_size", [0, 1])
    def test_without_room_nothing_is_kept(self, max_size: int) -> None:
        values = bounded(max_size)
        values.keep({"name": "x"})
        assert not values.is_on
        assert values.get_many(["name"]) == [None]
        assert values.size == 0

    def test_what_takes_more_than_half_is_refused_and_drops_nothing(self) -> None:
        values = bounded(10)
        values.keep({"small": "x", "exact": "x" * 4})
        values.keep({"large": "x" * 6})
        assert values.get_many(["small", "large", "exact"]) == ["x", None, "x" * 4]

    def test_what_takes_half_is_kept(self) -> None:
        values = bounded(10)
        values.keep({"half": "x" * 5})
        assert values.get_many(["half"]) == ["x" * 5]


class TestWhatStays:
    def test_what_is_read_survives_a_flood_of_other_names(self) -> None:
        """As a crawler makes it, which visits every page once."""
        values = bounded(1000)
        hot = [f"hot {number}" for number in range(100)]
        read = hits = 0
        for flood in range(0, 60_000, 100):
            values.keep(dict.fromkeys(range(flood, flood + 100), "x"))
            found = values.get_many(hot)
            read += len(hot)
            hits += len(found) - found.count(None)
            values.keep({name: "x" for name, value in zip(hot, found, strict=True) if not value})

        assert hits / read >= 0.99

    def test_what_is_not_read_makes_room(self) -> None:
        values = bounded(100)
        values.keep({"cold": "x"})
        values.keep(dict.fromkeys(range(100), "x"))
        assert values.get_many(["cold"]) == [None]

    def test_at_least_the_last_half_is_there(self) -> None:
        values = bounded(1000)
        for number in range(60_000):
            values.keep({number: "x"})
        assert None not in values.get_many(range(59_500, 60_000))

    def test_values_come_in_the_order_of_names_from_old_and_young(self) -> None:
        values = bounded(6)
        for name in "abcd":
            values.keep({name: name})
        assert values.get_many("dxabd") == ["d", None, "a", "b", "d"]

    def test_a_later_value_replaces_a_former_one_that_is_old(self) -> None:
        values = bounded(6)
        values.keep({"name": "1", "b": "b", "c": "c"})
        values.keep({"d": "d"})  # makes the others old
        values.keep({"name": "2"})
        assert values.get_many(["name"]) == ["2"]
        values.keep({"e": "e"})
        values.keep({"f": "f"})  # makes it old
        assert values.get_many(["name"]) == ["2"]


class TestThreads:
    @pytest.fixture(autouse=True)
    def many_switches(self) -> Iterator[None]:
        with switching_every(1e-6):
            yield

    def test_never_exceed_the_bound_or_mix_values(self) -> None:
        values = bounded(200)

        def work(seed: int) -> int:
            chosen = random.Random(seed)
            wrong = 0
            for _step in range(1500):
                names = chosen.sample(range(400), 5)
                found = values.get_many(names)
                wrong += sum(
                    value not in {None, text_of(name)}
                    for name, value in zip(names, found, strict=True)
                )
                values.keep({name: text_of(name) for name in names})
                wrong += values.size > 200 + 9  # read without the lock, between two numbers
            return wrong

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(work, range(8))) == 0
        assert kept(values, range(400)) <= values.size <= 200

    def test_that_write_the_same_names_count_them_once(self) -> None:
        def size_of(text: str) -> int:
            time.sleep(0)  # lets other threads in, in the middle of an update
            return len(text)

        values = Bounded(10_000, size_of=size_of)

        def work(thread: int) -> None:
            for number in range(400):
                name = number % 10
                values.keep({name: text_of(name)})

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        assert values.size == sum(len(text_of(name)) for name in range(10))

    def test_count_all_that_they_write(self) -> None:
        values = bounded(2_000_000)

        def work(thread: int) -> None:
            for number in range(2000):
                values.keep({(thread, number): "xyz"})

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        assert values.size == 8 * 2000 * 3


class TestReplacing:
    def test_by_larger_values_keeps_the_bound(self) -> None:
        values: Bounded[str] = Bounded(100, size_of=len)
        values.keep(dict.fromkeys(range(50), "x"))
        for name in range(50):
            values.keep({name: "x" * 50})
            assert values.size <= 100

    @pytest.mark.parametrize("others", [0, 3])
    def test_by_one_that_has_no_room_leaves_none(self, others: int) -> None:
        """The former one is not true any more, of whatever generation it is."""
        values: Bounded[str] = Bounded(10, size_of=len)
        values.keep({"name": "old"} | dict.fromkeys(range(others), "xyz"))
        values.keep({"name": "x" * 6})
        assert values.get_many(["name"]) == [None]

    def test_what_was_replaced_does_not_come_back_by_reading(self) -> None:
        values: Bounded[str] = Bounded(8, size_of=len)
        values.keep({"name": "old"})
        values.keep({"other": "xy"})  # now "name" is in the old generation
        values.keep({"name": "new"})
        values.keep({"another": "xy"})
        assert values.get_many(["name"]) == ["new"]


def text_of(name: int) -> str:
    return str(name) * (1 + name % 3)


@contextmanager
def switching_every(seconds: float) -> Iterator[None]:
    former = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(former)
