"""What a site does with its fragments, whichever fleet of servers they are kept in."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from fragcache import Fragment, get_fragment, get_fragments, invalidate, invalidate_all, leases
from fragcache.events import Event
from fragcache.reading import costs
from fragcache.store import store
from fragcache.warming import Plan, Run
from tests.fixtures import elsewhere, happened, in_request, local_settings, on_target, warm
from tests.fleets import until
from tests.library.models import Artist
from tests.processes import Server
from tests.stopwatch import Stopwatch

#: More than the budget of a page and a tenth of what a lease is waited for, in seconds.
SLOW = 0.6
#: Seconds after which a replica must have taken over, and have been noticed.
FAILOVER = 20


def use_fleet(request: pytest.FixtureRequest, settings: Any, cache: dict[str, Any]) -> str:
    """Keep fragments in a cache with these parameters of CACHES; return its alias."""
    settings.CACHES = {**settings.CACHES, "fleet": cache}
    settings.FRAGCACHE = {"CACHE_ALIAS": "fleet", **local_settings(request)}
    return "fleet"


@pytest.mark.django_db
@pytest.mark.without_local_cache
class FleetPages:
    """Tests for a class with a fixture ``cache_alias`` that is such a fleet."""

    @pytest.fixture
    def hundred(self, cache_alias: str, db: None) -> list[Artist]:
        return Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(100))

    def test_what_one_page_stores_the_next_one_reads(
        self, hundred: list[Artist], artist_card: Fragment, renders: list[int]
    ) -> None:
        first = get_fragments(artist_card, hundred)
        assert len(renders) == 100
        with elsewhere():
            assert get_fragments(artist_card, hundred) == first
        assert len(renders) == 100
        assert happened(Event.HIT) == 100

    def test_what_is_warm_needs_no_render_and_is_found_by_heads(
        self, hundred: list[Artist], artist_card: Fragment, renders: list[int]
    ) -> None:
        assert warm(artist_card).totals.stored == 100
        assert warm(artist_card).totals.fresh == 100
        renders.clear()
        assert get_fragments(artist_card, hundred)[7] == "<b>Artist 7</b>"
        with on_target(artist_card.name):
            assert get_fragment(artist_card.name, hundred[7].pk) == "<b>Artist 7</b>"
        assert renders == []

    def test_what_is_invalidated_is_rendered_again_everywhere(
        self, cache_alias: str, greeting: Fragment, renders: list[str]
    ) -> None:
        for name in ("you", "me"):
            get_fragment(greeting, name)
        invalidate(greeting, "you")
        renders.clear()
        with elsewhere(), in_request():
            for name in ("you", "me"):
                get_fragment(greeting, name)
        assert renders == ["you"]
        with elsewhere():
            invalidate_all(greeting)
        renders.clear()
        with elsewhere(), in_request():
            for name in ("you", "me"):
                get_fragment(greeting, name)
        assert renders == ["you", "me"]

    @pytest.mark.leases
    def test_of_two_processes_one_renders(
        self,
        cache_alias: str,
        greeting: Fragment,
        renders: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        get_fragment(greeting, "someone")  # the tokens are known
        costs.forget()  # it was cheap
        taken: list[str] = []
        take = leases.take

        def another_was_first(cache: Any, keys: Any, seconds: float, *ended: Any) -> set[str]:
            if not taken:
                taken.extend(keys)
                take(cache, taken, seconds)
            return take(cache, keys, seconds, *ended)

        monkeypatch.setattr(leases, "take", another_was_first)
        began = time.monotonic()
        other = threading.Timer(0.2, lambda: leases.end(store(), taken, []))
        other.start()
        assert get_fragment(greeting, "you") == "Hello you"
        assert time.monotonic() - began >= 0.2, "waited for the other process"
        other.join()
        assert len(taken) == 1


class SharedPages(FleetPages):
    """The same where keys are shared out among three nodes.

    A fixture ``lose`` is a function that loses one of them, for as long as the test takes.
    """

    @pytest.mark.leases
    def test_a_lost_node_costs_its_share_of_misses(
        self,
        hundred: list[Artist],
        artist_card: Fragment,
        renders: list[int],
        lose: Callable[[], None],
    ) -> None:
        warm(artist_card)
        expected = [f"<b>{artist.name}</b>" for artist in hundred]
        lose()
        for process in (elsewhere, nullcontext, nullcontext):  # the first one reads the tokens
            renders.clear()
            costs.forget()
            with process(), in_request(), Stopwatch() as watch:
                assert get_fragments(artist_card, hundred) == expected
            assert watch.seconds < SLOW, "waited for leases that nobody can have"
            assert 10 < len(renders) < 60
        assert store().reads.open_since is None
        assert store().writes.open_since is None

    @pytest.mark.leases
    def test_what_needs_a_lease_of_a_lost_node_is_stored_all_the_same(
        self,
        hundred: list[Artist],
        artist_card: Fragment,
        renders: list[int],
        lose: Callable[[], None],
    ) -> None:
        get_fragments(artist_card, hundred)  # the tokens are known
        more = Artist.objects.bulk_create(Artist(name=f"More {n}") for n in range(300))
        lose()
        for _page in range(2):
            renders.clear()
            costs.forget()
            get_fragments(artist_card, more)
        assert len(renders) < 125, "a third of the entries is lost, not that of the leases as well"

    def test_what_is_new_while_a_node_is_lost_is_stored(
        self, cache_alias: str, greeting: Fragment, renders: list[str], lose: Callable[[], None]
    ) -> None:
        get_fragment(greeting, "you")
        lose()
        names = [f"visitor {number}" for number in range(40)]
        with elsewhere():
            for _page in range(2):
                renders.clear()
                assert get_fragments(greeting, names) == [f"Hello {name}" for name in names]
        assert len(renders) < 36, "heads and entries may each lie on the lost node"

    def test_what_has_a_long_key_is_invalidated_while_a_node_is_lost(
        self, cache_alias: str, greeting: Fragment, renders: list[str], lose: Callable[[], None]
    ) -> None:
        """One copy of its token at the most is lost."""
        names = [f"{number} {'visitor' * 40}" for number in range(150)]
        get_fragments(greeting, names)
        lose()
        for name in names:
            invalidate(greeting, name)
        renders.clear()
        with elsewhere(), in_request():
            get_fragments(greeting, names)
        assert sorted(renders) == sorted(names)

    def test_invalidation_and_warming_go_on_while_a_node_is_lost(
        self,
        hundred: list[Artist],
        artist_card: Fragment,
        renders: list[int],
        lose: Callable[[], None],
    ) -> None:
        warm(artist_card)
        lose()
        with elsewhere():
            invalidate_all(artist_card)
        renders.clear()
        with elsewhere():
            tally = Run(Plan(fragments=[artist_card])).execute().totals
        assert len(renders) == 100
        assert 40 < tally.stored < 90
        assert tally.stored + tally.refused == 100
        with elsewhere(), in_request():
            assert len(get_fragments(artist_card, hundred)) == 100
        assert len(renders) == 100 + tally.refused


def check_failover(primary: Server, greeting: Fragment, renders: list[str]) -> None:
    """Kill a primary while pages are built; they are right all the time, and hit again after it.

    The process is the same all along, and takes what a visitor is made to wait from a budget.
    """
    names = [f"visitor {number}" for number in range(30)]
    expected = [f"Hello {name}" for name in names]

    def show() -> int:
        """Show one page; return how much of it was rendered."""
        before = len(renders)
        with in_request():
            assert get_fragments(greeting, names) == expected
        return len(renders) - before

    get_fragments(greeting, names)
    assert show() == 0
    with override_settings(FRAGCACHE={**settings.FRAGCACHE, "PAGE_BUDGET": 0.1}):
        primary.stop(signal.SIGKILL)
        began = time.monotonic()
        longest, missed = 0.0, 1
        while missed:
            assert time.monotonic() < began + FAILOVER, "no hit again"
            with Stopwatch() as watch:
                missed = show()
            longest = max(longest, watch.seconds)
            time.sleep(0.02)
        assert longest < SLOW
        invalidate(greeting, names[0])
        assert show() >= 1
        # The guard of writes asks for itself.
        until(lambda: show() == 0)
