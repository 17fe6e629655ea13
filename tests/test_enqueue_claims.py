"""Claims: each batch is done once, whatever the queue repeats and whoever dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from fragcache.models import WarmBatch, WarmRun
from fragcache.warming.distributed import claims, renew, work
from tests.enqueued import Sent, age, batch, delivered, ended
from tests.fixtures import any_cache

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
NOTHING = "done, or in other hands"

#: While a batch is done: what happens when a number is rendered.
Hooks = dict[int, Callable[[], Any]]


@pytest.fixture
def hooks() -> Hooks:
    return {}


@pytest.fixture
def numbers(declare: Any, templates: Any, renders: list[Any], hooks: Hooks) -> Any:
    """The fragment of the numbers 1 to 6, for three batches of two."""
    templates({"n.html": "{{ n }}"})

    @declare("n.html", name="shop.number", items=[1, 2, 3, 4, 5, 6], version=lambda n: 1)
    def number(n: int) -> dict[str, Any]:
        renders.append(n)
        hooks.get(n, int)()
        return {"n": n}

    return number


@pytest.fixture
def run(numbers: Any) -> WarmRun:
    run, _sent = delivered(numbers, batch_size=2)
    return run


def counts(run: WarmRun) -> dict[str, int]:
    """Return what is not zero of a run's counts."""
    found = ended(run).fragments["shop.number"]
    return {word: n for word, n in found.items() if n and word != "seconds"}


ALL_STORED = {"planned": 6, "rendered": 6, "stored": 6}


class TestDelivery:
    def test_a_batch_is_done_with_its_own_items(self, run: WarmRun, renders: list[Any]) -> None:
        assert work(run.pk, 2) == "ok"

        assert renders == [3, 4]
        found = batch(run, 2)
        assert (found.status, found.attempts, found.claim) == ("ok", 1, "")
        assert found.counts.items() >= {"planned": 2, "stored": 2, "failed": 0}.items()
        assert found.host
        assert found.pid
        assert found.sent_at is not None
        assert found.claimed_at is not None
        assert found.finished_at is not None
        assert found.sent_at <= found.claimed_at <= found.finished_at

    def test_a_second_delivery_does_nothing(self, run: WarmRun, renders: list[Any]) -> None:
        work(run.pk, 2)
        before = WarmBatch.objects.values().get(run=run, number=2)

        assert work(run.pk, 2) == NOTHING
        assert renders == [3, 4]
        assert WarmBatch.objects.values().get(run=run, number=2) == before

    def test_one_while_it_is_being_done_does_nothing(
        self, run: WarmRun, renders: list[Any], hooks: Hooks
    ) -> None:
        said = []
        hooks[3] = lambda: said.append(work(run.pk, 2))

        assert work(run.pk, 2) == "ok"
        assert said == [NOTHING]
        assert renders == [3, 4]

    def test_one_of_a_run_that_is_over_or_gone_does_nothing(
        self, run: WarmRun, renders: list[Any]
    ) -> None:
        WarmRun.objects.update(status="failed")
        assert work(run.pk, 1) == "its run is over"
        WarmRun.objects.all().delete()
        assert work(run.pk, 1) == "its run is over"
        assert renders == []


@pytest.mark.django_db(transaction=True)
class TestThreads:
    """Workers with connections of their own."""

    @pytest.fixture(autouse=True)
    def on_a_server(self) -> None:
        if connection.vendor == "sqlite":
            pytest.skip("SQLite's database in memory is one of each thread alone")

    def test_of_many_that_are_given_a_batch_one_does_it(
        self, run: WarmRun, renders: list[Any]
    ) -> None:
        ready = threading.Barrier(8)

        def worker(_number: int) -> str:
            try:
                found = batch(run)
                ready.wait(10)
                return "claimed" if claims.claimed(found) else "not"
            finally:
                connections.close_all()

        for _round in range(20):
            with ThreadPoolExecutor(8) as pool:
                assert sorted(pool.map(worker, range(8))) == ["claimed"] + ["not"] * 7
            WarmBatch.objects.update(status="waiting", attempts=0)

    def test_the_last_batches_end_the_run_once(
        self, run: WarmRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        published = []
        monkeypatch.setattr("fragcache.manifest.publish", lambda *told: published.append(told))
        ready = threading.Barrier(3)
        finish = claims.Claim.finish

        def together(claim: claims.Claim, **outcome: Any) -> bool:
            is_mine = finish(claim, **outcome)
            ready.wait(10)
            return is_mine

        monkeypatch.setattr(claims.Claim, "finish", together)

        def worker(number: int) -> str:
            try:
                return work(run.pk, number)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(worker, [1, 2, 3])) == ["ok"] * 3
        assert (ended(run).status, counts(run)) == ("ok", ALL_STORED)
        assert len(published) == 1

    def test_a_long_batch_keeps_its_claim_by_signs(
        self, run: WarmRun, renders: list[Any], hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "LIFE", 1.2)
        pause = threading.Event()
        said = []

        def meanwhile() -> None:
            pause.wait(1.8)
            said.append(renew(run, Sent()))
            said.append(work(run.pk, 1))

        hooks[1] = meanwhile
        assert work(run.pk, 1) == "ok"
        assert said == [0, NOTHING]
        assert renders == [1, 2]

    def test_the_thread_of_signs_leaves_no_connection(
        self, run: WarmRun, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "LIFE", 0.06)
        hooks[1] = lambda: threading.Event().wait(0.3)

        work(run.pk, 1)
        deadline = time.monotonic() + 5
        while (number := connections_of_the_database()) > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert number == 1

    def test_the_loss_of_a_claim_is_noticed(
        self, run: WarmRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "LIFE", 0.06)
        claim = claims.claimed(batch(run))
        assert claim is not None
        with claim.kept():
            assert not claim.lost.wait(0.2)
            WarmBatch.objects.update(claim="another's")
            assert claim.lost.wait(5)


def connections_of_the_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        [number] = cursor.fetchone()
    return number


class TestLapsed:
    """Of a worker that shows no signs any more."""

    @pytest.fixture
    def dead(self, run: WarmRun) -> claims.Claim:
        """The claim of a worker that was killed at the second batch."""
        claim = claims.claimed(batch(run, 2))
        assert claim is not None
        age(run, claims.LIFE + 1, number=2)
        return claim

    def test_within_its_life_a_claim_holds(self, run: WarmRun) -> None:
        claims.claimed(batch(run, 2))
        age(run, claims.LIFE - 5, number=2)
        sent = Sent()

        assert work(run.pk, 2) == NOTHING
        assert renew(run, sent) == 0

    def test_another_delivery_takes_over(
        self, run: WarmRun, dead: claims.Claim, renders: list[Any]
    ) -> None:
        assert work(run.pk, 2) == "ok"
        assert renders == [3, 4]
        assert batch(run, 2).attempts == 2

    def test_it_is_enqueued_again_once(self, run: WarmRun, dead: claims.Claim) -> None:
        sent = Sent()
        assert renew(run, sent) == 1
        assert renew(run, sent) == 0
        assert sent == [(run.pk, 2)]
        assert sent.work() == ["ok"]

    def test_one_that_was_only_slow_does_not_count(
        self, run: WarmRun, dead: claims.Claim, renders: list[Any]
    ) -> None:
        for number in (1, 2, 3):
            work(run.pk, number)

        assert not dead.finish(status="failed", counts={"planned": 99})
        assert not dead.lost.is_set()
        assert (ended(run).status, counts(run)) == ("ok", ALL_STORED)

    def test_one_that_is_only_slow_finds_out_and_stops(
        self, run: WarmRun, hooks: Hooks, renders: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = []

        def taken_over() -> None:
            del hooks[3]
            age(run, claims.LIFE + 1, number=2)
            said.append(work(run.pk, 2))

        hooks[3] = taken_over
        assert work(run.pk, 2) == "taken over by another worker"
        assert said == ["ok"]
        assert batch(run, 2).status == "ok"
        work(run.pk, 1)
        work(run.pk, 3)
        assert counts(run)["planned"] == 6

    def test_of_a_batch_that_kills_three_workers_the_run_says_so_and_ends(
        self, run: WarmRun, dead: claims.Claim, renders: list[Any]
    ) -> None:
        sent = Sent()
        for attempt in (2, 3):
            assert renew(run, sent) == 1
            claims.claimed(batch(run, 2))
            assert batch(run, 2).attempts == attempt
            age(run, claims.LIFE + 1, number=2)
        work(run.pk, 1)
        work(run.pk, 3)

        assert work(run.pk, 2) == NOTHING
        sent.clear()
        assert renew(run, sent) == 0
        assert sent == []
        assert (ended(run).status, counts(run)["failed"]) == ("failed", 1)
        assert (
            "Batch 2 (shop.number, 2 listed items, language=en-us, time_zone=UTC): its workers "
            "died, 3 of them: it may be an instance that kills." in run.problem
        )
        assert renders == [1, 2, 5, 6]


class TestTold:
    """A worker that is told to end at once."""

    @pytest.fixture(autouse=True)
    def exits(self, run: WarmRun, hooks: Hooks) -> None:
        hooks[3] = lambda: exit_at_once(hooks)

    def test_gives_its_batch_back(self, run: WarmRun) -> None:
        with pytest.raises(SystemExit):
            work(run.pk, 2)

        found = batch(run, 2)
        assert (found.status, found.sent_at, found.claim) == ("waiting", None, "")
        sent = Sent()
        assert renew(run, sent) == 1
        assert sent.work() == ["ok"]

    def test_but_not_for_ever(self, run: WarmRun, hooks: Hooks) -> None:
        hooks[3] = lambda: exit_at_once({})
        sent = Sent()
        for _attempt in range(3):
            with pytest.raises(SystemExit):
                work(run.pk, 2)
            renew(run, sent)
        assert batch(run, 2).status == "failed"


def exit_at_once(hooks: Hooks) -> None:
    hooks.clear()
    raise SystemExit(1)
