"""Leases among processes: of many that miss one instance, one renders it, and it may die."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from fragcache import Fragment, get_fragment, leases
from fragcache.backends.embedded import EmbeddedCache
from fragcache.bubbling import note_unstorable
from fragcache.counters import Event
from fragcache.page import entered, of_request
from fragcache.reading import costs, flights, leased
from fragcache.reading.stored import look
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, happened, without_local_cache
from tests.odd_caches import RefusesLargeValues
from tests.pages import SERVERS, SHARED, shared_caches
from tests.plugin import BY_NAME, require
from tests.stampedes import CROWD, RENDER, Herd
from tests.test_warm_processes import open_shop  # noqa: F401 - a fixture

#: Seconds more than the bound, for a machine that is busy; tests/soak has the bound itself.
BUSY = 2.0
SOON = 10


@pytest.fixture(params=SHARED)
def herd(
    request: pytest.FixtureRequest,
    open_shop: Any,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Herd]:
    is_server = request.param in BY_NAME
    location = require(request.config, request.param) if is_server else str(tmp_path / "cache")
    with Herd(open_shop(request.param, location), tmp_path) as herd:
        yield herd


class TestStampedes:
    @pytest.mark.parametrize("fragment", ["herd.versioned", "herd.headed"])
    def test_is_answered_by_one_render(self, herd: Herd, fragment: str) -> None:
        stampede = herd.run(fragment, threads=CROWD)

        assert stampede.html == {"1"}
        assert len(stampede.renders) == stampede.count("stored") == 1
        assert stampede.slowest <= RENDER + 0.1 + BUSY
        assert stampede.leases == 0

    @pytest.mark.parametrize("herd", ["embedded"], indirect=True)
    def test_whose_tokens_are_new_is_waited_for_by_those_who_may_not_store_under_them(
        self, herd: Herd
    ) -> None:
        stampede = herd.run("herd.headed", knows_tokens=False)

        assert stampede.html == {"1"}
        assert stampede.count("stored") == 1
        assert len(stampede.renders) < len(stampede.answers) / 2

    def test_all_are_answered_where_the_renderer_is_killed(self, herd: Herd) -> None:
        seed = random.randrange(10**6)
        print("seed", seed)
        for seconds in random_moments(seed, 5):
            stampede = herd.check_kill(seconds)
            assert stampede.slowest <= leases.LEAST_LIFE + 0.5 + BUSY

    @pytest.mark.parametrize("herd", ["redis", "embedded"], indirect=True)
    def test_another_one_renders_and_stores_when_the_lease_of_the_dead_has_ended(
        self, herd: Herd
    ) -> None:
        """On Memcached a lease lives up to a second longer than is waited for."""
        stampede = herd.check_kill(RENDER / 2)

        assert stampede.count("stored") == 1
        assert stampede.leases == 0

    def test_what_may_not_be_stored_is_rendered_by_all_at_once_when_that_is_known(
        self, herd: Herd
    ) -> None:
        stampede = herd.run(is_unstorable=True)

        assert len(stampede.renders) == len(stampede.answers)
        assert stampede.slowest <= 2 * RENDER + 0.1 + BUSY

    def test_a_lease_that_is_lost_costs_a_render(self, herd: Herd) -> None:
        stampede = herd.run(is_evicted=True)

        assert stampede.html == {"1"}
        assert len(stampede.renders) == stampede.count("stored") == 2
        assert stampede.leases == 0


def random_moments(seed: int, number: int) -> list[float]:
    """Return seconds after which a render may be under way, about to be stored, or over."""
    chosen = random.Random(seed)
    return [chosen.uniform(0, RENDER * 1.1) for _ in range(number)]


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
            patch.setattr(leases, "take", lambda _cache, keys, _life: taken.extend(keys) or set())
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
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        site, n = self._call
        began = time.monotonic()
        self.html = site.read(n)
        self.seconds = time.monotonic() - began
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

    def test_ends_when_the_other_one_could_not_store_what_it_rendered(
        self, site: Site, lease: str
    ) -> None:
        stored = happened(Event.STORED)
        reader = Reader(site, 1)
        time.sleep(0.1)
        leases.end(store(), (), [lease])

        assert reader.wait() == "x"
        assert reader.seconds < 1
        assert happened(Event.STORED) == stored, "who holds no lease"
        began = time.monotonic()
        assert site.read(1) == "x"
        assert time.monotonic() - began < 1, "nor does anybody wait afterwards"

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
        assert reader.seconds < 1
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
        began = time.monotonic()

        assert site.read(1) == "x"
        assert 0.15 < time.monotonic() - began < 1
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
        began = time.monotonic()

        assert site.read(1) == "x"
        assert time.monotonic() - began < 1

    def test_what_is_too_large_is_not_waited_for(
        self, site: Site, use_backend: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_backend(RefusesLargeValues)
        site.read(1)
        lease = site.lease_of(2000, monkeypatch)
        assert len(site.read(2000)) == 2000
        held = store().read_many([lease])
        assert leases.state(held, lease) is leases.State.REFUSED

        began = time.monotonic()
        assert len(site.read(2000)) == 2000
        assert time.monotonic() - began < 1
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
        assert leases.state(held, lease) is leases.State.REFUSED, "it was not stored"

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
        assert leases.state(held, lease) is leases.State.REFUSED

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
        server.stop(signal.SIGKILL)
        killed_at = time.monotonic()

        assert reader.wait() == "x"
        assert time.monotonic() - killed_at < 2


@any_cache
@pytest.mark.leases
@without_local_cache
def test_a_read_only_site_takes_no_lease(
    cache_alias: str, site: Site, settings: Any, trips: RoundTrips
) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "READ_ONLY": True}

    assert site.read(1) == "x"
    assert trips.writes == []
