"""Atomic sets: instances of several fragments that become visible together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import caches
from django.db import transaction
from django.template import engines

from fragcache import (
    CacheUnavailable,
    FragmentMissing,
    InvalidArguments,
    ReadOnly,
    SetIncomplete,
    SetMissing,
    TransactionOpen,
    fetch_context,
    fragment,
    get_fragment,
    invalidate_all,
    publish_context,
    publish_set,
    registry,
    remote_fragment,
    rollback_set,
    use_set,
)
from fragcache.events import Event
from fragcache.keys import set_key
from fragcache.sets.records import (
    add_name,
    list_keys,
    names_of_sets,
    read_members,
    read_shown,
)
from fragcache.store import Store, store
from tests.fixtures import (
    Clock,
    RoundTrips,
    any_cache,
    elsewhere,
    happened,
    in_request,
    on_target,
    warm,
    without_local_cache,
)
from tests.library.models import Artist

pytestmark = pytest.mark.django_db
SET = "library.front"
LIST, COUNT, CARD, TITLE = "library.list", "library.count", "library.card", "library.title"
STATE = {"n": 1}


@pytest.fixture
def source(templates: Any, artists: list[Artist]) -> dict[str, int]:
    """What is published, each with the number of its generation; of the HTML, a title."""
    templates({"title.html": "<h1>{{ n }}</h1>", "card.html": "<i>{{ name }} {{ n }}</i>"})
    STATE["n"] = 1

    @fragment(name=LIST, publish="context")
    def listed() -> dict[str, Any]:
        pks = Artist.objects.order_by("pk").values_list("pk", flat=True)
        return {"n": STATE["n"], "pks": list(pks)}

    @fragment(name=COUNT, publish="context", timeout=600)
    def number() -> dict[str, Any]:
        return {"n": STATE["n"]}

    @fragment(name=CARD, items=Artist.objects.all, version="updated_at", publish="context")
    def card(artist: Artist) -> dict[str, Any]:
        return {"n": STATE["n"], "name": artist.name}

    @fragment("title.html", name=TITLE)
    def title() -> dict[str, Any]:
        return {"n": STATE["n"]}

    return STATE


def publish(n: int, **options: Any) -> None:
    """Publish all of generation ``n``."""
    STATE["n"] = n
    with publish_set(SET, **options) as new:
        new.publish(LIST)
        new.publish(COUNT)
        new.publish_many(CARD, Artist.objects.all())
        new.publish(TITLE)


def publish_but(then: Callable[[], object]) -> None:
    """Publish a count, with what happens before the end of the block."""
    with publish_set(SET) as new:
        new.publish(COUNT)
        then()


@contextmanager
def target(**options: Any) -> Iterator[None]:
    """A site that shows the cards by a template of its own."""
    names = [one.name for one in registry.all_fragments()]
    with on_target(*names, READ_ONLY=False), elsewhere():
        try:
            remote_fragment(CARD, "card.html", **options)
            yield
        finally:
            registry.remove(CARD)


def seen() -> list[Any]:
    """Return what a page shows, as far as it is there."""
    pks = (fetch_context(LIST, default=None) or {}).get("pks", [])
    return [
        (fetch_context(LIST, default=None) or {}).get("n"),
        (fetch_context(COUNT, default=None) or {}).get("n"),
        *[get_fragment(CARD, pk, default="") for pk in pks],
        get_fragment(TITLE, default=""),
    ]


def whole(n: int) -> list[Any]:
    return [n, n, f"<i>Nina {n}</i>", f"<i>Ella {n}</i>", f"<h1>{n}</h1>"]


def shown() -> list[Any]:
    with use_set(SET):
        return seen()


class TestShowing:
    def test_shows_all_of_one_generation_and_then_all_of_the_next(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        with target():
            assert shown() == whole(1)
        publish(2)
        with target():
            assert shown() == whole(2)

    def test_a_page_that_straddles_a_switch_shows_one_generation(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        with in_request():
            used = use_set(SET)
            assert fetch_context(COUNT)["n"] == 1
            publish(2)
            assert fetch_context(LIST)["n"] == 1
            assert use_set(SET) is used
            assert fetch_context(COUNT)["n"] == 1
        with in_request():
            use_set(SET)
            assert fetch_context(LIST)["n"] == 2

    @any_cache
    def test_a_use_within_a_use_ends_before_the_outer_one(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        with use_set(SET):
            with use_set(SET):
                assert fetch_context(COUNT)["n"] == 1
            publish(2)
            publish_context(COUNT)
            assert fetch_context(COUNT)["n"] == 1
        assert fetch_context(COUNT)["n"] == 2

    @any_cache
    @pytest.mark.parametrize("n", [1, 2])
    def test_what_stands_in_for_stale_html_is_of_the_same_generation(
        self, cache_alias: str, source: dict[str, int], clock: Clock, n: int
    ) -> None:
        publish(1)
        for generation in (1, n):
            if generation == 2:
                publish(2)
            clock.step(400)
            with target(max_age=300, stale_while_revalidate=900), in_request():
                use_set(SET)
                assert seen() == whole(generation)
        assert happened(Event.STALE_SERVED, CARD) == (2 if n == 1 else 0)

    @any_cache
    def test_nothing_is_seen_before_the_end_of_the_block(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        source["n"] = 2
        with publish_set(SET) as new:
            new.publish(COUNT)
            with use_set(SET):
                assert fetch_context(COUNT)["n"] == 1
        with use_set(SET):
            assert fetch_context(COUNT)["n"] == 2

    @any_cache
    def test_what_raises_shows_nothing_and_leaves_nothing(
        self, cache_alias: str, source: dict[str, int], trips: RoundTrips
    ) -> None:
        publish(1)
        trips.clear()
        with pytest.raises(ZeroDivisionError):
            publish_but(lambda: 1 // 0)
        [written] = trips.of("store_many")
        assert written.timeout == 600
        assert caches[cache_alias].get_many(written.keys) == {}
        with target():
            assert shown() == whole(1)

    @any_cache
    def test_what_is_no_member_is_missing_though_it_is_published_elsewhere(
        self, cache_alias: str, source: dict[str, int], artists: list[Artist]
    ) -> None:
        with publish_set(SET) as new:
            new.publish(CARD, artists[0])
        source["n"] = 2
        publish_context(CARD, artists[0])
        publish_context(CARD, artists[1])
        publish_context(COUNT)
        with use_set(SET):
            assert fetch_context(CARD, artists[0].pk)["n"] == 1
            with pytest.raises(FragmentMissing):
                fetch_context(CARD, artists[1].pk)
            assert fetch_context(COUNT)["n"] == 2  # of which the set has nothing at all
        assert fetch_context(CARD, artists[0].pk)["n"] == 2

    @any_cache
    def test_a_member_that_was_evicted_is_missing_and_nothing_else_stands_in_for_it(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        publish(2)
        publish_context(COUNT)
        evict(COUNT)
        with target():
            assert shown() == [2, None, *whole(2)[2:]]

    @any_cache
    def test_all_axis_values_that_runs_warm_are_in_it(
        self, cache_alias: str, source: dict[str, int], settings: Any
    ) -> None:
        from django.utils import translation

        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        publish(1)
        for language in ("en", "de"):
            with translation.override(language), use_set(SET):
                assert fetch_context(COUNT)["n"] == 1

    @any_cache
    def test_invalidation_makes_members_stale_and_purging_takes_them_away(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        invalidate_all(COUNT)
        with use_set(SET):
            assert fetch_context(COUNT)["n"] == 1
        assert happened(Event.STALE_SERVED, COUNT) == 1
        invalidate_all(COUNT, purge=True)
        with use_set(SET), pytest.raises(FragmentMissing):
            fetch_context(COUNT)

    @any_cache
    @pytest.mark.parametrize("is_known", [True, False])
    def test_members_stay_where_the_reply_to_showing_them_is_lost(
        self,
        cache_alias: str,
        source: dict[str, int],
        monkeypatch: pytest.MonkeyPatch,
        is_known: bool,
    ) -> None:
        """With a client that asks again, the second reply says that what is there stayed."""
        publish(1)
        advance = Store.advance_many

        def advance_many(cache: Store, entries: Any, *given: Any) -> set[str]:
            stayed = advance(cache, entries, *given)
            if any(key.endswith("!set") for key in entries):
                if not is_known:
                    raise CacheUnavailable("the reply was lost")
                stayed = set(entries)
            return stayed

        monkeypatch.setattr(Store, "advance_many", advance_many)
        try:
            publish(2)
        except CacheUnavailable:
            assert not is_known
        with target():
            assert shown() == whole(2)

    @any_cache
    def test_is_shown_though_what_is_left_to_do_fails(
        self,
        cache_alias: str,
        source: dict[str, int],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        from fragcache.sets import publishing

        def add_name(*_given: object) -> None:
            raise CacheUnavailable("gone")

        monkeypatch.setattr(publishing, "add_name", add_name)
        publish(1)
        assert f"The set {SET} is shown" in caplog.text
        with target():
            assert shown() == whole(1)

    @any_cache
    def test_of_two_publishers_the_one_that_began_later_is_shown(
        self,
        cache_alias: str,
        source: dict[str, int],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with publish_set(SET) as early:
            early.publish(COUNT)
            source["n"] = 2
            with publish_set(SET) as late:
                late.publish(COUNT)
        assert (early.is_shown, late.is_shown) == (False, True)
        lists = list_keys(store(), SET, early._version.encoded, 1)
        assert lists
        assert not store().fetch_many(lists)
        assert "one that was begun later is" in caplog.text
        with use_set(SET):
            assert fetch_context(COUNT)["n"] == 2


def evict(name: str) -> None:
    """Remove the current generation's members of a fragment from the cache and the process."""
    cache = store()
    current = read_shown(cache, SET)
    assert current is not None
    members = read_members(cache, SET, current.current)
    caches[cache.alias].delete_many([key for key in members or [] if f":{name}:" in key])
    cache.local.clear()


class TestRollingBack:
    def test_shows_the_former_generation_and_back(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        publish(2)
        assert rollback_set(SET).is_rolled_back
        with target():
            assert shown() == whole(1)
        assert not rollback_set(SET).is_rolled_back
        with target():
            assert shown() == whole(2)
        publish(3)
        with target():
            assert shown() == whole(3)

    @any_cache
    def test_lives_of_generations_are_bounded(
        self, cache_alias: str, source: dict[str, int], trips: RoundTrips
    ) -> None:
        generations = []
        for n in (1, 2, 3):
            trips.clear()
            publish(n, rollback_within=900)
            current = read_shown(store(), SET)
            assert current is not None
            generations.append(current.current.name)
        ended = {
            trip.timeout: {key for key in trip.keys if "!set" not in key}
            for trip in trips.of("touch_many")
        }
        assert {name for name in generations if all(name in key for key in ended[900])} == {
            generations[1]
        }
        assert all(generations[0] in key for key in ended[60])
        assert len(ended[900]) == len(ended[60]) == 5

    @any_cache
    def test_is_refused_where_a_member_went(self, cache_alias: str, source: dict[str, int]) -> None:
        publish(1)
        evict(COUNT)
        publish(2)
        with pytest.raises(SetIncomplete, match="1 of its members went from the cache"):
            rollback_set(SET)
        with target():
            assert shown() == whole(2)

    @any_cache
    def test_is_refused_where_it_would_show_what_was_purged(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        publish(1)
        invalidate_all(COUNT, purge=True)
        publish(2)
        with pytest.raises(SetIncomplete, match=r"library\.count was purged since"):
            rollback_set(SET)
        with target():
            assert shown() == whole(2)
        invalidate_all(COUNT)
        publish(3)
        rollback_set(SET)
        with target():
            assert shown() == whole(2)

    @any_cache
    def test_is_refused_where_there_is_nothing_before(
        self, cache_alias: str, source: dict[str, int]
    ) -> None:
        with pytest.raises(SetMissing, match=r"No set 'library\.front' is in this cache"):
            rollback_set(SET)
        publish(1)
        with pytest.raises(SetIncomplete, match="there is nothing before it"):
            rollback_set(SET)

    @any_cache
    def test_is_refused_where_another_is_published_meanwhile(
        self, cache_alias: str, source: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which is so where rolling back takes longer than its turn."""
        from fragcache.sets import rolling, turns

        monkeypatch.setattr(turns, "SECONDS", 0.01)
        publish(1)
        publish(2)
        revive = rolling._revive

        def slowly(*given: Any) -> None:
            revive(*given)
            publish(3)

        monkeypatch.setattr(rolling, "_revive", slowly)
        with pytest.raises(SetIncomplete, match="was published anew meanwhile"):
            rollback_set(SET)
        with target():
            assert shown() == whole(3)


class TestTurns:
    @any_cache
    def test_what_is_rolled_back_while_another_is_shown_follows_it(
        self, cache_alias: str, source: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fragcache.sets import publishing

        numbers = {}
        rolled_back: list[Any] = []
        read = publishing.read_shown

        def read_then_roll_back(*given: Any) -> Any:
            before = read(*given)
            other.start()
            other.join(0.1)
            return before

        other = threading.Thread(target=lambda: rolled_back.append(rollback_set(SET)))
        for n in (1, 2, 3):
            if n == 3:
                monkeypatch.setattr(publishing, "read_shown", read_then_roll_back)
            publish_but(lambda: None)
            numbers[n] = newest()
        other.join()
        [found] = rolled_back
        assert (found.current.name, found.former.name) == (numbers[2], numbers[3])
        current = read_shown(store(), SET)
        assert current is not None
        assert current.current.name == numbers[2]

    @any_cache
    def test_of_one_who_was_killed_in_it_ends(
        self, cache_alias: str, source: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fragcache.sets import turns

        monkeypatch.setattr(turns, "SECONDS", 0.1)
        with turns.turn(store(), SET):
            publish_but(lambda: None)
        assert read_shown(store(), SET) is not None

    @any_cache
    def test_of_two_that_are_named_at_once_none_is_forgotten(
        self, cache_alias: str, source: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fragcache.sets import records

        read = records._read_names
        other = threading.Thread(target=lambda: add_name(store(), "other"))
        threads = iter([None, other])

        def read_then_add(cache: Store) -> Any:
            names = read(cache)
            if (thread := next(threads, None)) is not None:
                thread.start()
                thread.join(0.1)
            return names

        monkeypatch.setattr(records, "_read_names", read_then_add)
        add_name(store(), SET)
        other.join()
        assert names_of_sets(store()) == [SET, "other"]


def newest() -> str:
    """Return the generation that was begun last."""
    found = read_shown(store(), SET)
    assert found is not None
    return max(one.name for one in (found.current, found.former) if one is not None)


class TestMistakes:
    @any_cache
    @pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 101, None])
    def test_a_name_that_is_none(self, cache_alias: str, name: Any) -> None:
        for call in (use_set, rollback_set):
            with pytest.raises(InvalidArguments, match="is no name of a set"):
                call(name)
        with pytest.raises(InvalidArguments, match="is no name of a set"), publish_set(name):
            """Publish nothing."""

    @any_cache
    def test_a_set_that_is_not_there(self, cache_alias: str) -> None:
        with pytest.raises(SetMissing, match="publish it on the source"):
            use_set(SET)
        assert use_set(SET, default=None) is None
        assert happened(Event.ABSENT, SET) == 1

    @any_cache
    def test_a_set_without_members(self, cache_alias: str, source: dict[str, int]) -> None:
        with pytest.raises(InvalidArguments, match="has no members"), publish_set(SET):
            """Publish nothing."""

    @any_cache
    def test_a_site_that_only_reads(
        self, cache_alias: str, source: dict[str, int], settings: Any
    ) -> None:
        publish(1)
        settings.FRAGCACHE = {**settings.FRAGCACHE, "READ_ONLY": True}
        with pytest.raises(ReadOnly), publish_set(SET):
            """Publish nothing."""
        with pytest.raises(ReadOnly):
            rollback_set(SET)

    @any_cache
    def test_a_transaction_that_has_written(self, cache_alias: str, source: dict[str, int]) -> None:
        with transaction.atomic():
            Artist.objects.create(name="Billie")
            with pytest.raises(TransactionOpen, match="may be rolled back"), publish_set(SET):
                """Publish nothing."""

    @any_cache
    def test_members_that_were_evicted_before_all_were_written(
        self, cache_alias: str, source: dict[str, int], trips: RoundTrips
    ) -> None:
        publish(1)
        trips.clear()
        with pytest.raises(SetIncomplete, match="1 of 1 members of the set"):
            publish_but(lambda: caches[cache_alias].delete_many(trips.of("store_many")[-1].keys))
        with target():
            assert shown() == whole(1)

    @any_cache
    def test_a_fragment_in_another_cache(
        self, cache_alias: str, source: dict[str, int], settings: Any
    ) -> None:
        settings.CACHES = {**settings.CACHES, "other": settings.CACHES["locmem"]}
        fragment(name="library.elsewhere", publish="context", using="other")(dict)
        with (
            pytest.raises(InvalidArguments, match="is kept in another cache than"),
            publish_set(SET) as new,
        ):
            new.publish("library.elsewhere")

    @any_cache
    def test_a_cache_that_does_not_answer(
        self, cache_alias: str, source: dict[str, int], start_server: Any, settings: Any
    ) -> None:
        server = start_server("redis")
        alias = {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": server.address}
        settings.CACHES = {**settings.CACHES, "gone": alias}
        server.stop()
        with pytest.raises(CacheUnavailable):
            rollback_set(SET, using="gone")
        assert use_set(SET, using="gone", default=None) is None


@any_cache
class TestCosts:
    @without_local_cache
    def test_a_page_asks_for_the_record_with_all_tokens_and_then_for_members(
        self, cache_alias: str, source: dict[str, int], trips: RoundTrips
    ) -> None:
        publish(1)
        for _process in range(2):  # of which one learns what fragments the set has
            with elsewhere(), in_request():
                trips.clear()
                use_set(SET)
                assert fetch_context(COUNT)["n"] == 1
        first, second = trips
        assert set_key(SET) in first.keys
        assert any("#" in key for key in first.keys)
        assert len(second.keys) == 1

    def test_nothing_more_than_the_record_where_the_process_has_the_members(
        self, cache_alias: str, source: dict[str, int], trips: RoundTrips
    ) -> None:
        publish(1)
        for _page in range(2):
            with in_request():
                trips.clear()
                use_set(SET)
                assert fetch_context(COUNT)["n"] == 1
                assert fetch_context(LIST)["n"] == 1
        assert [trip.keys[0] for trip in trips] == [set_key(SET)]

    def test_pages_that_use_no_set_pay_nothing(
        self, cache_alias: str, source: dict[str, int], trips: RoundTrips
    ) -> None:
        warm(*registry.all_fragments())
        publish(2)
        trips.clear()
        with in_request():
            assert fetch_context(LIST)["n"] == 1
        assert not any("!set" in key for trip in trips for key in trip.keys)


@any_cache
def test_the_names_of_sets_are_known(cache_alias: str, source: dict[str, int]) -> None:
    for name in ("b", "a", "b"):
        with publish_set(name) as new:
            new.publish(COUNT)
    assert names_of_sets(store()) == ["a", "b"]


@any_cache
def test_a_template_shows_it(cache_alias: str, source: dict[str, int]) -> None:
    publish(1)
    source["n"] = 2
    warm(*registry.all_fragments())
    page = engines["django"].from_string("{% load fragcache %}{% fragment 'library.title' %}")
    with target(), in_request():
        use_set(SET)
        assert page.render() == "<h1>1</h1>"
