"""``fragments coverage``: what a target asks for, and what is there of it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fragcache import (
    Fragment,
    counters,
    fetch_context,
    fragment,
    invalidate_all,
    page,
    publish_context,
    registry,
    remote_fragment,
)
from fragcache.contexts import coverage, presence
from fragcache.events import Event
from fragcache.stats.keeping import keeper
from fragcache.store import store
from tests.asked_site import AskedSite, Target
from tests.fixtures import Clock, any_cache, happened, on_target, warm
from tests.library.models import Artist

pytestmark = pytest.mark.django_db
NAME = "library.card"


def covered(*names: str, **options: Any) -> tuple[str, int]:
    """Return what the command says, and its exit code."""
    out = io.StringIO()
    try:
        call_command("fragments", "coverage", *names, stdout=out, **options)
    except CommandError as error:
        return out.getvalue(), error.returncode
    return out.getvalue(), 0


@pytest.fixture
def cards(cache_alias: str, artists: list[Artist], templates: Any) -> Fragment:
    templates({"x.html": "{{ artist.name }}"})

    @fragment(name=NAME, items=Artist.objects.all, version="updated_at", publish="context")
    def card(artist: Artist, variant: str = "row") -> dict[str, Any]:
        return {"artist": artist}

    return card


@any_cache
class TestCoverage:
    def test_says_how_many_are_there_and_how_old(
        self, cards: Fragment, artists: list[Artist], clock: Clock
    ) -> None:
        first, second = (artist.pk for artist in artists)
        publish_context(NAME, first)
        clock.step(7200)
        warm(cards)
        clock.step(60)
        with on_target(NAME):
            remote_fragment(NAME, "x.html", items=lambda: [first, second])
            try:
                assert covered() == (
                    f"{NAME}  2 of 2 there, oldest 2 h ago, median 61 min ago; told of 60 s ago\n",
                    0,
                )
            finally:
                registry.remove(NAME)

    def test_names_what_is_missing(self, cards: Fragment, artists: list[Artist]) -> None:
        publish_context(NAME, artists[0].pk)
        with on_target(NAME):
            wanted = [artists[0].pk, *range(900, 907)]
            remote_fragment(NAME, "x.html", items=lambda: wanted)
            try:
                said, code = covered()
                assert code == 1
                assert "1 of 8 there" in said
                assert said.count("missing: ") == 5
                assert "missing: (900) language=en-us, time_zone=UTC\n" in said
                assert "and 2 more: -v2 names them" in said
                said, _code = covered("-v2")
                assert said.count("missing: ") == 7
                assert covered("-v0") == ("", 1)
                assert "more" not in said
                document = json.loads(covered(json=True)[0])
            finally:
                registry.remove(NAME)
        found = document["fragments"][NAME]
        assert document["source"] is None
        assert (found["asked"], found["there"], found["missing"]) == (8, 1, 7)
        assert found["first_missing"][0] == "(900) language=en-us, time_zone=UTC"

    def test_remembers_one_part_at_a_time(
        self, cards: Fragment, artists: list[Artist], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remembered = []

        def built_at(*given: Any, **options: Any) -> Any:
            found = presence.built_at(*given, **options)
            remembered.append(len(page.current().memory(store().space).heads))
            return found

        publish_context(NAME, artists[0].pk)
        monkeypatch.setattr(coverage, "SIZE", 3)
        monkeypatch.setattr(coverage, "built_at", built_at)
        with on_target(NAME):
            remote_fragment(NAME, "x.html", items=lambda: range(900, 910))
            try:
                assert "0 of 10 there" in covered()[0]
            finally:
                registry.remove(NAME)
        assert remembered == [3, 3, 3, 1]

    def test_does_not_count_what_has_been_purged(
        self, cards: Fragment, artists: list[Artist]
    ) -> None:
        warm(cards)
        invalidate_all(cards, purge=True)
        with on_target(NAME):
            remote_fragment(NAME, "x.html", items=lambda: [artists[0].pk])
            try:
                assert "0 of 1 there" in covered()[0]
            finally:
                registry.remove(NAME)

    def test_of_what_is_only_fetched_needs_its_name(self, cache_alias: str) -> None:
        @fragment(name="library.front", publish="context")
        def front() -> dict[str, Any]:
            return {}

        publish_context(front)
        with on_target("library.front"):
            with pytest.raises(CommandError, match="declares no remote fragments"):
                call_command("fragments", "coverage")
            assert covered("library.front")[0].startswith("library.front  1 of 1 there")
            said, code = covered("library.nothing")
        assert (said, code) == ("library.nothing  the source has not told of it\n", 1)

    def test_of_what_is_shown_on_demand_says_so(
        self, cards: Fragment, artists: list[Artist]
    ) -> None:
        warm(cards)
        with on_target(NAME):
            assert "nobody knows what is asked for" in covered(NAME)[0]
            assert covered(NAME)[1] == 0


@any_cache
def test_what_no_fragment_lists_is_known_by_what_was_asked_for_lately(
    cards: Fragment, artists: list[Artist], no_counts: None
) -> None:
    publish_context(NAME, artists[0].pk)
    keeper.flush()  # what the source has counted is no question of the target's
    with on_target(NAME):
        for pk in (artists[0].pk, artists[0].pk, 900):
            fetch_context(NAME, pk, default=None)
        counters.count(Event.HIT, "a block, which no source has told of")
        keeper.flush()
        said, code = covered()
        assert said.startswith(f"{NAME}  told of ")
        assert said.endswith("; asked for 3 times within an hour, 2 times there\n")
        assert code == 0
        found = json.loads(covered(json=True)[0])["fragments"][NAME]
        assert found["lately"] == {"times": 3, "missing": 1}


def test_says_whether_the_source_answers_and_asks_it_for_nothing(
    asked_source: AskedSite, asking_target: Target, templates: Any
) -> None:
    templates({"x.html": "{{ n }}"})
    remote_fragment("asked.number", "x.html", items=lambda: [10**9])
    try:
        said, code = covered()
        assert (said.endswith("The source answers.\n"), code) == (True, 1)
        asking_target("127.0.0.1:1")
        assert "The source is away: ConnectError." in covered()[0]
    finally:
        registry.remove("asked.number")
    assert 10**9 not in asked_source.builds
    assert happened(Event.ASKED) == 0


def test_says_that_the_cache_does_not_answer(start_server: Any, settings: Any) -> None:
    server = start_server("redis")
    alias = {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": server.address}
    settings.CACHES = {**settings.CACHES, "gone": alias}
    settings.FRAGCACHE = {"CACHE_ALIAS": "gone"}

    @fragment(name="library.front", publish="context")
    def front() -> dict[str, Any]:
        return {}

    publish_context(front)
    with on_target("library.front"):
        assert covered("library.front")[1] == 0
        server.stop()
        assert covered("library.front")[1] == 75
        assert covered("library.other")[1] == 75
