"""Tokens: made once, replaced for good, in as many copies as there are nodes to lose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from fragcache import (
    CacheUnavailable,
    Fragment,
    InvalidationFailed,
    get_fragment,
    invalidate_all,
    token_copies,
    tokens,
)
from fragcache.page import now
from fragcache.records import Token
from fragcache.store import store
from fragcache.token_memory import TokenName
from tests.fixtures import Clock, RoundTrips, elsewhere, without_local_cache
from tests.odd_caches import KeepsThreeTokenCopies, RefusesTokens

pytestmark = without_local_cache

NAME = TokenName("library.greeting")
SECOND = 1_000_000


def keys() -> list[str]:
    return token_copies.keys_of(store(), [NAME])[NAME]


def current() -> Token:
    return tokens.read(store(), [NAME]).current[NAME]


def stored() -> list[Token | None]:
    """Return what is under each copy's key."""
    found = store().read_many(keys())
    return [Token.from_entry(found[key]) if key in found else None for key in keys()]


def lose(*copies: int) -> None:
    store().delete_many(keys()[copy] for copy in copies)


class TestMaking:
    def test_an_absent_token_is_made_once(self, cache_alias: str) -> None:
        made = current()

        with elsewhere():
            assert current() == made
        assert stored() == [made]

    def test_racing_readers_agree_on_one(self, cache_alias: str) -> None:
        """Else each would make what the others call stale."""
        ready = threading.Barrier(4)
        found: list[Token] = []

        def reader() -> None:
            cache = store()
            names = token_copies.keys_of(cache, [NAME])
            nothing = cache.fetch_many(names[NAME])
            ready.wait(5)
            found.append(tokens.settle(cache, names, nothing, {}, time.monotonic()).current[NAME])
            cache.backend.close()

        threads = [threading.Thread(target=reader) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(found) == 4
        assert set(found) == {current()}

    def test_garbage_in_its_place_is_replaced(self, cache_alias: str) -> None:
        store().backend.set(keys()[0], b"garbage")

        made = current()

        assert stored() == [made]

    def test_nothing_is_made_where_nothing_may_be_written(
        self, cache_alias: str, settings: Any, trips: RoundTrips
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "READ_ONLY": True}

        assert tokens.read(store(), [NAME]).current == {}
        assert trips.writes == []

    def test_it_lives_for_ever(self, cache_alias: str, trips: RoundTrips) -> None:
        """Its end would be an invalidation of everything."""
        current()
        tokens.replace(store(), [NAME])

        assert {trip.timeout for trip in trips.writes} == {None}


class TestReplacing:
    @pytest.mark.parametrize("seconds_back", [0.0, 3.0, 60.0, 86_400.0])
    def test_it_counts_when_the_clock_was_stepped_back(
        self, cache_alias: str, clock: Clock, greeting: Fragment, seconds_back: float
    ) -> None:
        former = current()
        clock.step(-seconds_back)

        invalidate_all(greeting)

        assert current().identity != former.identity
        with elsewhere():
            assert current().identity != former.identity

    def test_it_makes_an_absent_token(self, cache_alias: str, greeting: Fragment) -> None:
        """An entry whose token was lost must not come back with it."""
        invalidate_all(greeting)

        assert stored() == [current()]

    def test_two_within_a_moment_both_count(self, cache_alias: str, greeting: Fragment) -> None:
        former = current()
        invalidate_all(greeting)
        first = current()
        invalidate_all(greeting)

        assert len({former.identity, first.identity, current().identity}) == 3
        assert former.moment < first.moment < current().moment

    def test_a_later_one_by_another_process_is_good_enough(
        self, cache_alias: str, greeting: Fragment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both invalidate what was there before."""
        current()
        others = Token.first(now() + SECOND)
        advance_many = type(store().backend).advance_many
        raced = []

        def raced_advance(backend: Any, values: Any, *args: Any) -> Any:
            if not raced:
                raced.append(True)
                store().write_many({keys()[0]: others.sealed_form()}, None)
            return advance_many(backend, values, *args)

        monkeypatch.setattr(type(store().backend), "advance_many", raced_advance)

        invalidate_all(greeting)

        assert stored() == [others]

    def test_a_refused_write_is_an_error_and_changes_nothing(
        self, use_backend: Callable[..., str], greeting: Fragment
    ) -> None:
        use_backend(RefusesTokens)
        former = current()

        with pytest.raises(
            InvalidationFailed,
            match=r"'library\.greeting' is not invalidated: the cache alias 'special' refused "
            r"the new token\. Try again when it accepts writes\.",
        ):
            invalidate_all(greeting)
        assert current() == former

    def test_a_refused_write_is_a_failure_of_the_cache(self) -> None:
        assert issubclass(InvalidationFailed, CacheUnavailable)


class TestCopies:
    @pytest.fixture(autouse=True)
    def fleet(self, use_backend: Callable[..., str]) -> None:
        use_backend(KeepsThreeTokenCopies)

    @pytest.fixture
    def put(self) -> Callable[[int, Token], None]:
        def put(copy: int, token: Token) -> None:
            store().write_many({keys()[copy]: token.sealed_form()}, None)

        return put

    def test_all_three_are_made_under_keys_of_their_own(self) -> None:
        made = current()

        assert stored() == [made, made, made]
        assert len(set(keys())) == 3

    @pytest.mark.parametrize("lost", [[0], [2], [0, 1], [1, 2]])
    def test_a_lost_node_blanks_no_name(self, lost: list[int], renders: list[str]) -> None:
        made = current()
        lose(*lost)

        with elsewhere():
            assert current() == made
        assert stored() == [made, made, made]  # the gaps are filled

    @pytest.mark.parametrize("returned", [0, 1, 2])
    def test_a_returning_node_revives_nothing(
        self, returned: int, put: Any, greeting: Fragment
    ) -> None:
        former = current()
        invalidate_all(greeting)
        made = current()
        put(returned, former)

        assert current() == made
        assert stored() == [made, made, made]

    def test_a_node_that_returns_while_the_others_are_lost_is_all_there_is(
        self, put: Any, greeting: Fragment
    ) -> None:
        """Three copies survive one node's loss, not the loss of all that saw the invalidation."""
        former = current()
        invalidate_all(greeting)
        lose(1, 2)
        put(0, former)

        assert current() == former

    def test_an_invalidation_reaches_the_nodes_that_are_there(
        self, greeting: Fragment, put: Any
    ) -> None:
        former = current()
        lose(0)
        invalidate_all(greeting)

        assert [token and token.identity == former.identity for token in stored()] == [False] * 3

    def test_garbage_in_one_place_is_a_gap(self) -> None:
        made = current()
        store().backend.set(keys()[1], b"garbage")

        assert current() == made
        assert stored() == [made, made, made]

    def test_a_read_needs_no_further_round_trip(
        self, greeting: Fragment, trips: RoundTrips
    ) -> None:
        get_fragment(greeting, "you")
        trips.clear()
        get_fragment(greeting, "you")

        assert trips.commands == ["get_many", "get_many"]  # by head
