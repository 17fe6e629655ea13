"""Leases, taken as another process takes them: what waiting for one ends with, and costs."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from fragcache import Fragment, get_fragment, leases
from fragcache.backends.embedded import EmbeddedCache
from fragcache.bubbling import note_unstorable
from fragcache.events import Event
from fragcache.leases import Lease, State
from fragcache.page import entered, of_request
from fragcache.reading import costs, flights, leased
from fragcache.reading.stored import look
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, happened, without_local_cache
from tests.odd_caches import RefusesLargeValues
from tests.pages import SERVERS, shared_caches
from tests.stopwatch import Stopwatch
from tests.threads import at_once

#: Seconds in which everything happens; a lease that is not waited for ends sooner by far.
SOON = 20


class Site:
    """A fragment of numbers, whose leases the test takes as another process does."""

    def __init__(self) -> None:
        self.renders: list[int] = []
        self.seconds = 0.01
        self.work: Callable[[], object] = lambda: None
        self.fragment: Fragment

    def render(self, n: int) -> dict[str, Any]:
        self.renders.append(n)
        time.sleep(self.seconds)
        self.work()
        return {"n": "x" * n}

    def read(self, n: int) -> str:
        with entered(of_request()):
            return str(get_fragment(self.fragment, n))

    def lease_of(self, n: int, monkeypatch: pytest.MonkeyPatch) -> str:
        """Return the key of the lease that a read takes."""
        taken: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(leases, "take", lambda _cache, keys, *_how: taken.extend(keys) or set())
            patch.setattr(leased, "patience", lambda _batch, _number: 0.0)
            self.read(n)
        self.renders.clear()
        return taken[0]


@pytest.fixture(params=["by version", "by head"])
def site(request: pytest.FixtureRequest, declare: Any, templates: Any) -> Site:
    templates({"n.html": "{{ n }}"})
    site = Site()
    options = {"version": lambda _n: 1} if request.param == "by version" else {"stamped": False}
    site.fragment = declare("n.html", name="library.n", **options)(site.render)
    return site


class Reader(threading.Thread):
    """A thread that reads one instance."""

    def __init__(self, site: Site, n: int) -> None:
        super().__init__(daemon=True)
        self._call = (site, n)
        self.html = ""
        self.start()

    def run(self) -> None:
        site, n = self._call
        with Stopwatch() as self.watch:
            self.html = site.read(n)
        caches.close_all()

    def wait(self) -> str:
        self.join(SOON)
        assert not self.is_alive(), "still waiting"
        return self.html


@shared_caches
@pytest.mark.leases
@pytest.mark.usefixtures("cache_alias")
@without_local_cache
class TestWaiting:
    """For another process, which the test is."""

    @pytest.fixture
    def lease(self, cache_alias: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
        """The lease of 1, taken by another process for a long time."""
        site.read(0)
        key = site.lease_of(1, monkeypatch)
        assert leases.take(store(), [key], 60) == {key}
        return key

    def test_ends_when_the_lease_is_lost(self, site: Site, lease: str) -> None:
        stored = happened(Event.STORED)
        reader = Reader(site, 1)
        time.sleep(0.1)
        assert site.renders == []
        store().delete_many([lease])

        assert reader.wait() == "x"
        assert site.renders == [1]
        assert happened(Event.STORED) == stored + 1
        assert store().read_many([lease]) == {}

    def test_ends_when_the_other_one_has_not_ended_the_lease_in_time(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However coarse the clock of the cache is."""
        site.read(0)
        lease = site.lease_of(1, monkeypatch)
        stored = happened(Event.STORED)
        assert leases.take(store(), [lease], 0.3) == {lease}
        reader = Reader(site, 1)

        assert reader.wait() == "x"
        assert reader.watch.elapsed > 0.2
        assert reader.watch.seconds < 0.9
        assert site.renders == [1]
        assert happened(Event.STORED) == stored + 1
        assert store().read_many([lease]) == {}

    def test_ends_when_the_other_one_could_not_store_what_it_rendered(
        self, site: Site, lease: str
    ) -> None:
        stored = happened(Event.STORED)
        reader = Reader(site, 1)
        time.sleep(0.1)
        leases.end(store(), (), [lease])

        assert reader.wait() == "x"
        assert reader.watch.seconds < 1
        assert happened(Event.STORED) == stored, "who holds no lease"
        with Stopwatch() as watch:
            assert site.read(1) == "x"
        assert watch.seconds < 1, "nor does anybody wait afterwards"

    def test_is_for_what_the_page_itself_may_not_store(
        self, site: Site, lease: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = happened(Event.STORED)
        monkeypatch.setattr("fragcache.tokens.Tokens.allow_storing", lambda *_arguments: False)
        reader = Reader(site, 1)
        time.sleep(0.2)
        assert site.renders == []
        store().delete_many([lease])

        assert reader.wait() == "x"
        assert reader.watch.seconds < 1
        assert happened(Event.STORED) == stored

    def test_ends_where_renders_turn_out_to_be_cheap(
        self, site: Site, lease: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = happened(Event.STORED)
        reader = Reader(site, 1)
        time.sleep(0.1)
        monkeypatch.setattr(costs, "WORTH_A_LEASE", SOON)
        time.sleep(0.1)
        assert site.renders == []
        store().delete_many([lease])

        assert reader.wait() == "x"
        assert happened(Event.STORED) == stored + 1
        assert store().read_many([lease]) == {}

    def test_ends_without_storing_when_it_has_taken_too_long(
        self, site: Site, lease: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (flights, leased):
            monkeypatch.setattr(module, "patience", lambda _batch, _number: 0.2)
        stored = happened(Event.STORED)

        with Stopwatch() as watch:
            assert site.read(1) == "x"
        assert watch.elapsed > 0.15
        assert watch.seconds < 1
        assert site.renders == [1]
        assert happened(Event.STORED) == stored
        assert lease in store().read_many([lease]), "it is not its own"

    def test_takes_nothing_of_the_pages_time_for_its_cache(
        self, site: Site, lease: str, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow_look(*arguments: Any) -> Any:
            time.sleep(0.1)
            return look(*arguments)

        monkeypatch.setattr(leased, "look", slow_look)
        settings.FRAGCACHE = {**settings.FRAGCACHE, "PAGE_BUDGET": SOON}
        threading.Timer(0.5, lambda: leases.end(store(), (), [lease])).start()
        with entered(of_request()) as page:
            assert get_fragment(site.fragment, 1) == "x"
            assert page.waited < 0.3


@shared_caches
@pytest.mark.leases
@pytest.mark.usefixtures("cache_alias")
@without_local_cache
@pytest.mark.parametrize("site", ["by version"], indirect=True)
class TestRoundTrips:
    def test_of_a_dear_render(self, site: Site, trips: RoundTrips) -> None:
        site.read(1)
        trips.clear()
        site.read(2)

        assert trips.commands == ["get_many", "add_many", "get_many", "store_many", "delete_many"]
        assert trips[1].keys == trips[-1].keys
        assert store().read_many(trips[-1].keys) == {}

    def test_a_cheap_render_takes_no_lease(
        self, site: Site, trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(costs, "WORTH_A_LEASE", 0.1)
        site.read(1)
        trips.clear()
        site.read(2)

        assert trips.commands == ["get_many", "store_many"]

    def test_nor_does_one_that_could_not_be_stored_the_last_time(
        self, site: Site, trips: RoundTrips
    ) -> None:
        site.work = note_unstorable
        site.read(1)
        trips.clear()
        site.read(2)
        assert trips.commands == ["get_many"]

        site.work = lambda: None
        site.read(3)
        trips.clear()
        site.read(4)
        assert "add_many" in trips.commands

    def test_what_the_cache_could_not_give_tokens_for_is_no_such_render(
        self, site: Site, trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.read(1)
        with monkeypatch.context() as patch:
            patch.setattr("fragcache.tokens.Tokens.allow_storing", lambda *_arguments: False)
            site.read(2)
        trips.clear()
        site.read(3)

        assert "add_many" in trips.commands


@shared_caches
@pytest.mark.usefixtures("cache_alias")
class TestTakingOver:
    """A lease that was not given up in time."""

    @pytest.fixture
    def ended(self) -> Lease:
        leases.take(store(), ["lease"], 0.01)
        time.sleep(0.02)
        ended = self.look()
        assert ended.state is State.ENDED
        return ended

    def look(self) -> Lease:
        return leases.lease_of(store().read_many(["lease"]), "lease")

    def test_is_done_by_one(self, ended: Lease) -> None:
        def take() -> set[str]:
            return leases.take(store(), ["lease"], SOON, {"lease": ended})

        assert sorted(map(len, at_once(take, 8))) == [0] * 7 + [1]
        taken = self.look()
        assert taken.state is State.TAKEN
        assert taken.taken_at > ended.taken_at

    def test_is_done_again_where_that_one_is_late_too(self, ended: Lease) -> None:
        assert leases.take(store(), ["lease"], 0.01, {"lease": ended})
        time.sleep(0.02)
        again = self.look()
        assert again.state is State.ENDED

        assert leases.take(store(), ["lease"], SOON, {"lease": again})
        assert not leases.take(store(), ["lease"], SOON, {"lease": ended})

    def test_is_not_done_unasked(self, ended: Lease) -> None:
        assert leases.take(store(), ["lease"], SOON) == set()


class RefusesLeases(EmbeddedCache):
    """Adds nothing, and says so, as Memcached does without memory."""

    def add_many(
        self,
        data: Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        return list(data)


@pytest.mark.leases
@without_local_cache
class TestBrokenCaches:
    def test_one_that_refuses_leases_is_not_waited_for(self, site: Site, use_backend: Any) -> None:
        use_backend(RefusesLeases)
        site.read(0)
        with Stopwatch() as watch:
            assert site.read(1) == "x"
        assert watch.seconds < 1

    def test_what_is_too_large_is_not_waited_for(
        self, site: Site, use_backend: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_backend(RefusesLargeValues)
        site.read(1)
        lease = site.lease_of(2000, monkeypatch)
        assert len(site.read(2000)) == 2000
        held = store().read_many([lease])
        assert leases.lease_of(held, lease).state is State.REFUSED

        with Stopwatch() as watch:
            assert len(site.read(2000)) == 2000
        assert watch.seconds < 1
        assert happened(Event.STORED) == 1

    def test_a_page_that_has_no_time_left_ends_its_lease(
        self, site: Site, use_backend: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_backend(EmbeddedCache)
        settings.FRAGCACHE = {**settings.FRAGCACHE, "PAGE_BUDGET": SOON}
        site.read(0)
        lease = site.lease_of(1, monkeypatch)
        with entered(of_request()) as page:
            site.work = lambda: setattr(page, "waited", 2 * SOON)
            assert get_fragment(site.fragment, 1) == "x"
            assert page.waited > 2 * SOON
        held = store().read_many([lease])
        assert leases.lease_of(held, lease).state is State.REFUSED, "it was not stored"

    def test_an_exception_ends_the_lease(
        self, site: Site, use_backend: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise LookupError("declined")

        use_backend(EmbeddedCache)
        site.read(0)
        lease = site.lease_of(1, monkeypatch)
        site.work = fail
        with pytest.raises(LookupError, match="declined"):
            site.read(1)
        held = store().read_many([lease])
        assert leases.lease_of(held, lease).state is State.REFUSED

    @pytest.mark.parametrize("backend", SERVERS)
    def test_one_that_dies_ends_the_waiting(
        self,
        backend: str,
        site: Site,
        start_server: Any,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        server = start_server(backend)
        mortal = {**settings.CACHES[backend], "LOCATION": server.address}
        settings.CACHES = {**settings.CACHES, "mortal": mortal}
        settings.FRAGCACHE = {"CACHE_ALIAS": "mortal", "LOCAL_MAX_BYTES": 0}
        monkeypatch.setattr(leased, "patience", lambda _batch, _number: SOON)
        monkeypatch.setattr(flights, "patience", lambda _batch, _number: SOON)
        site.read(0)
        with monkeypatch.context() as patch:
            lease = site.lease_of(1, patch)
        assert leases.take(store(), [lease], 60)
        reader = Reader(site, 1)
        time.sleep(0.2)
        assert site.renders == []
        with Stopwatch() as watch:
            server.stop(signal.SIGKILL)
            assert reader.wait() == "x"
        assert watch.seconds < 2


@any_cache
@pytest.mark.leases
@without_local_cache
def test_a_read_only_site_takes_no_lease(
    cache_alias: str, site: Site, settings: Any, trips: RoundTrips
) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "READ_ONLY": True}

    assert site.read(1) == "x"
    assert trips.writes == []
