"""Transactions: nothing uncommitted is stored, and an invalidation holds when it is committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction

from fragcache import (
    Fragment,
    TransactionOpen,
    get_fragment,
    invalidate,
    invalidate_all,
    transactions,
)
from fragcache.events import Event
from fragcache.warming import Plan, Run
from tests.fixtures import RoundTrips, any_cache, happened, in_request
from tests.library.models import Artist


@contextmanager
def rolled_back() -> Iterator[None]:
    """An atomic block without a commit."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def elsewhere(call: Callable[[], Any]) -> Any:
    """Return what a call gives in another thread, which shares no transaction with this one."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(10)
    return results[0]


@pytest.fixture
def word(declare: Any, templates: Any) -> Iterator[dict[str, str]]:
    """What the fragment `library.word` shows: data of the site in no database."""
    templates({"word.html": "{{ word }}"})
    shown = {"word": "old"}

    @declare("word.html", name="library.word")
    def word() -> dict[str, Any]:
        return dict(shown)

    return shown


def read() -> Any:
    return get_fragment("library.word")


@pytest.mark.django_db
@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestStoring:
    def test_the_atomic_blocks_of_a_test_case_do_not_count(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """Tests of sites would else never meet an entry."""
        assert transaction.get_connection().in_atomic_block
        assert not transactions.is_open()

        get_fragment(artist_card, artists[0])

        assert happened(Event.STORED) == 1

    @pytest.mark.parametrize("depth", [1, 2])
    def test_nothing_is_stored_in_a_transaction(
        self, artist_card: Fragment, artists: list[Artist], trips: RoundTrips, depth: int
    ) -> None:
        nested = [transaction.atomic() for _ in range(depth)]
        for block in nested:
            block.__enter__()
        Artist.objects.update(name="uncommitted")
        assert get_fragment(artist_card, artists[0].pk) == "<b>uncommitted</b>"
        for block in reversed(nested):
            block.__exit__(None, None, None)

        assert trips.of("store_many") == trips.of("advance_many") == []
        assert happened(Event.NOT_STORED) == 1

    @pytest.mark.parametrize("writes", [False, True])
    def test_a_request_stores_what_it_shows_in_a_transaction_that_has_only_read(
        self, artist_card: Fragment, artists: list[Artist], writes: bool
    ) -> None:
        """With ATOMIC_REQUESTS, nothing would be stored else."""
        with in_request(), transaction.atomic():
            assert Artist.objects.count() == 2
            if writes:
                Artist.objects.update(name="uncommitted")
            get_fragment(artist_card, artists[0].pk)

        assert happened(Event.STORED) == int(not writes)

    def test_no_run_warms_what_may_be_rolled_back(self, artist_card: Fragment) -> None:
        with (
            transaction.atomic(),
            pytest.raises(TransactionOpen, match="not warmed inside of a transaction"),
        ):
            Run(Plan(fragments=[artist_card])).execute()

    def test_a_decorated_view_that_wrote_once_stores_what_its_later_calls_only_read(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """A decorator enters one and the same block for every call."""

        @transaction.atomic
        def view(name: str = "") -> None:
            if name:
                Artist.objects.filter(pk=artists[0].pk).update(name=name)
            get_fragment(artist_card, artists[0].pk)

        with in_request():
            view("Another")
        assert happened(Event.STORED) == 0
        with in_request():
            view()
        assert happened(Event.STORED) == 1

    def test_outside_of_a_request_nothing_is_stored_in_a_transaction_that_has_only_read(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """Its snapshot may be older than the call, and so than the tokens."""
        with transaction.atomic():
            get_fragment(artist_card, artists[0].pk)

        assert happened(Event.STORED) == 0

    def test_what_is_stored_is_read_in_a_transaction(
        self, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        get_fragment(artist_card, artists[0])
        renders.clear()

        with transaction.atomic():
            get_fragment(artist_card, artists[0])
        assert renders == []

    def test_a_rollback_leaves_nothing_behind(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        with rolled_back():
            Artist.objects.update(name="rolled back")
            get_fragment(artist_card, artists[0].pk)

        assert get_fragment(artist_card, artists[0].pk) == "<b>Nina</b>"

    def test_a_transaction_is_over_when_it_is_committed(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        with transaction.atomic():
            pass
        get_fragment(artist_card, artists[0])

        assert happened(Event.STORED) == 1


@pytest.mark.django_db(transaction=True)
@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestInvalidating:
    def test_without_a_transaction_it_holds_at_once_for_all(self, word: dict[str, str]) -> None:
        assert read() == "old"
        word["word"] = "new"
        invalidate("library.word")

        assert elsewhere(read) == read() == "new"

    @pytest.mark.parametrize("change", [invalidate, invalidate_all])
    def test_in_a_transaction_it_holds_here_at_once_and_elsewhere_after_the_commit(
        self, word: dict[str, str], change: Callable[[str], None]
    ) -> None:
        assert read() == "old"
        with transaction.atomic():
            word["word"] = "new"
            change("library.word")
            assert read() == "new"
            assert elsewhere(read) == "old"

        assert elsewhere(read) == "new"
        assert read() == "new"

    def test_a_rollback_leaves_all_as_it_was(self, word: dict[str, str], trips: RoundTrips) -> None:
        assert read() == "old"
        trips.clear()
        with rolled_back():
            invalidate("library.word")

        assert trips.writes == []
        assert elsewhere(read) == read() == "old"
        assert happened(Event.RENDERED) == 1

    def test_a_savepoint_that_is_rolled_back_leaves_all_as_it_was(
        self, word: dict[str, str]
    ) -> None:
        assert read() == "old"
        with transaction.atomic():
            with rolled_back():
                invalidate("library.word")
            assert read() == "old"

        assert elsewhere(read) == read() == "old"
        assert happened(Event.RENDERED) == 1

    @pytest.mark.django_db(transaction=True, databases=["default", "second"])
    @pytest.mark.parametrize("outer", ["default", "second"])
    def test_of_two_databases_the_one_that_commits_decides(
        self, word: dict[str, str], outer: str
    ) -> None:
        inner = {"default": "second", "second": "default"}[outer]
        assert read() == "old"
        with transaction.atomic(using=outer):
            with transaction.atomic(using=inner):
                invalidate("library.word")
                word["word"] = "new"
            assert elsewhere(read) == read() == "new"
            word["word"] = "newest"
            assert elsewhere(read) == "new"
            transaction.set_rollback(outer == "default", using=outer)

        assert elsewhere(read) == ("new" if outer == "default" else "newest")

    def test_another_fragment_is_read_as_before(
        self, word: dict[str, str], greeting: Fragment, renders: list[str]
    ) -> None:
        get_fragment(greeting, "you")
        with transaction.atomic():
            invalidate(greeting, "somebody else")
            get_fragment(greeting, "you")

        assert renders == ["you"]

    def test_a_decorated_function_remembers_nothing_of_its_last_call(
        self, word: dict[str, str]
    ) -> None:
        """A decorator enters one and the same atomic block at each call."""

        @transaction.atomic
        def view(*, changes: bool) -> Any:
            if changes:
                invalidate("library.word")
            return read()

        for _call in range(3):
            view(changes=True)
        read()
        rendered = happened(Event.RENDERED)

        view(changes=False)

        assert happened(Event.RENDERED) == rendered


@pytest.mark.django_db
@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestInTestCases:
    def test_an_invalidation_outside_of_the_sites_transactions_holds_at_once(
        self, word: dict[str, str]
    ) -> None:
        assert read() == "old"
        word["word"] = "new"
        invalidate("library.word")

        assert read() == "new"

    def test_an_invalidation_in_a_transaction_is_seen_after_it(self, word: dict[str, str]) -> None:
        """`on_commit` never runs in a TestCase; the page looks as in production all the same."""
        assert read() == "old"
        with transaction.atomic():
            word["word"] = "new"
            invalidate("library.word")

        assert read() == "new"

    def test_callbacks_can_be_executed_as_djangos_tests_do(
        self, word: dict[str, str], django_capture_on_commit_callbacks: Any
    ) -> None:
        assert read() == "old"
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            word["word"] = "new"
            invalidate("library.word")

        with in_request():
            assert read() == "new"
        assert happened(Event.STORED) == 2


@pytest.mark.django_db(transaction=True)
@any_cache
def test_manual_transaction_management_stores_nothing_uncommitted(
    cache_alias: str, artist_card: Fragment, artists: list[Artist]
) -> None:
    transaction.set_autocommit(False)
    try:
        Artist.objects.update(name="uncommitted")
        assert get_fragment(artist_card, artists[0].pk) == "<b>uncommitted</b>"
        assert happened(Event.STORED) == 0
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


class Name:
    """A name that counts how often it is put into a set."""

    hashed = 0

    def __hash__(self) -> int:
        Name.hashed += 1
        return id(self)


@pytest.mark.django_db(transaction=True)
class TestAwaited:
    def test_are_gathered_once_however_often_they_are_asked_for(self) -> None:
        Name.hashed = 0
        with transaction.atomic():
            for _ in range(100):
                transactions.on_commit([Name()], lambda: None)
                names = transactions.awaited()
        assert len(names) == 100
        assert Name.hashed <= 300

    def test_are_those_of_what_is_not_rolled_back(self) -> None:
        def promise(name: str) -> None:
            transactions.on_commit([name], lambda: None)
            transaction.on_commit(lambda: None)  # of the site's own
            seen.append(sorted(transactions.awaited()))

        seen: list[list[str]] = []
        with transaction.atomic():
            with rolled_back():
                promise("a")
            promise("b")
            with rolled_back():
                promise("c")
            assert sorted(transactions.awaited()) == ["b"]
            with transaction.atomic():
                promise("d")
        assert seen == [["a"], ["b"], ["b", "c"], ["b", "d"]]
        assert not transactions.awaited()
        with transaction.atomic():
            promise("e")
        assert seen[-1] == ["e"]
