"""Whether a token that is absent was never there, or was lost with the server that kept it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core.cache import caches

from fragcache import page, token_copies, tokens
from fragcache.store import store
from fragcache.token_memory import TokenName
from tests.fixtures import Clock, RoundTrips, any_cache, elsewhere

KNOWN, OTHER = TokenName("library.known"), TokenName("library.other")
STAMP = TokenName(KNOWN.fragment, "s1:x")


def read(*names: TokenName) -> tokens.Tokens:
    return tokens.read(store(), names)


def lose(*names: TokenName) -> None:
    store().delete_many(
        [key for copies in token_copies.keys_of(store(), names).values() for key in copies]
    )


def may_be_stored_under(name: TokenName, *beside: TokenName) -> bool:
    """Whether a page may store under a token that it is the first to ask for."""
    began, began_at = time.monotonic(), page.now()
    return read(name, *beside).were_known([name], began, began_at)


@pytest.fixture
def cache(cache_alias: str) -> str:
    return cache_alias


@any_cache
@pytest.mark.usefixtures("cache")
class TestWhatTells:
    def test_nothing_does_to_a_process_that_knows_nothing(self) -> None:
        assert may_be_stored_under(OTHER)

    def test_a_token_that_is_gone(self) -> None:
        read(KNOWN)
        lose(KNOWN)

        assert not may_be_stored_under(KNOWN)
        assert may_be_stored_under(KNOWN), "only that page has begun before"

    def test_a_token_that_is_gone_beside_another_one(self) -> None:
        read(KNOWN, OTHER)
        lose(KNOWN)

        assert not may_be_stored_under(KNOWN, OTHER)

    @pytest.mark.parametrize("beside", [[KNOWN], []], ids=["read along", "asked for"])
    def test_one_that_is_still_there(self, beside: list[TokenName]) -> None:
        read(KNOWN)

        assert may_be_stored_under(OTHER, *beside)

    def test_the_one_that_is_known_for_longest(self) -> None:
        read(KNOWN)
        began, began_at = time.monotonic(), page.now()
        with elsewhere():
            lose(KNOWN)
            read(TokenName("library.third"))
        read(TokenName("library.third"))

        assert not read(OTHER).were_known([OTHER], began, began_at)

    @pytest.mark.parametrize(("seconds", "is_told"), [(9, False), (11, True)])
    def test_one_that_another_process_made_some_time_ago(
        self, clock: Clock, seconds: int, is_told: bool
    ) -> None:
        with elsewhere():
            read(KNOWN)
        clock.step(seconds)

        assert may_be_stored_under(OTHER, KNOWN) is is_told

    def test_beside_one_that_another_process_has_just_made_the_next_page_may_store(self) -> None:
        with elsewhere():
            read(KNOWN)

        assert not may_be_stored_under(OTHER, KNOWN)
        assert may_be_stored_under(OTHER, KNOWN), "what is made is known since then"

    def test_not_a_stamp_which_caches_evict(self) -> None:
        read(KNOWN, STAMP)
        lose(STAMP)

        assert may_be_stored_under(STAMP, KNOWN)


@any_cache
@pytest.mark.usefixtures("cache")
class TestWhatThisProcessKnowsItself:
    def test_that_it_has_cleared_the_cache(self) -> None:
        read(KNOWN)
        caches[store().alias].clear()

        assert may_be_stored_under(KNOWN)

    def test_that_it_was_given_another_one(self, settings: Any) -> None:
        read(KNOWN)
        lose(KNOWN)
        settings.CACHES = {**settings.CACHES}

        assert may_be_stored_under(KNOWN)


@pytest.mark.parametrize("cache_alias", ["locmem"], indirect=True)
def test_a_cache_that_tells_nobody_when_it_is_cleared_is_believed(cache_alias: str) -> None:
    read(KNOWN)
    caches[cache_alias].clear()

    assert may_be_stored_under(KNOWN)


@any_cache
@pytest.mark.usefixtures("cache")
def test_it_is_asked_only_where_a_fragments_token_is_made(trips: RoundTrips) -> None:
    def costs(*names: TokenName) -> list[str]:
        trips.clear()
        read(*names)
        return trips.commands

    assert costs(KNOWN) == ["get_many", "add_many"]
    assert costs(KNOWN) == ["get_many"]
    assert costs(KNOWN, STAMP) == ["get_many", "add_many"]
    assert costs(OTHER) == ["get_many", "get_many", "add_many"]
