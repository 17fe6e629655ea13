"""Runs that workers do: how they end, what is lost and found, and which of them have died."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from fragcache import manifest, registry
from fragcache.exceptions import CacheUnavailable, TransactionOpen
from fragcache.manifest import find
from fragcache.models import WarmBatch, WarmRun
from fragcache.store import Store, store
from fragcache.warming.distributed import (
    QueueUnavailable,
    claims,
    deliver,
    gathering,
    going_on,
    renew,
    runs,
    work,
)
from tests.enqueued import Sent, age, batch, begun, delivered, ended
from tests.fixtures import any_cache
from tests.library.models import Artist
from tests.recorded_runs import Hooks, fail
from tests.warming import warm

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def price(hooks: Hooks) -> Any:
    """The fragment of four numbers, for two batches of two."""
    return registry.get("shop.price")


@pytest.fixture
def tag(declare: Any, templates: Any) -> Any:
    """Another fragment, of one batch."""
    templates({"tag.html": "{{ n }}"})

    @declare("tag.html", name="shop.tag", items=["sale"], version=lambda n: 1)
    def tag(n: str) -> dict[str, Any]:
        return {"n": n}

    return tag


def done(*fragments: Any, **given: Any) -> WarmRun:
    """Return a run whose batches were done one after the other."""
    run, sent = delivered(*fragments, **{"batch_size": 2, **given})
    sent.work()
    return ended(run)


def totals(run: WarmRun) -> dict[str, int]:
    words = ("planned", "fresh", "rendered", "stored", "refused", "failed")
    return {word: run.total(word) for word in words if run.total(word)}


class TestEnd:
    def test_the_last_batch_ends_the_run_with_the_sums(self, price: Any, tag: Any) -> None:
        run, sent = delivered(price, tag, batch_size=2)
        assert [work(*message) for message in sent[:-1]] == ["ok", "ok"]
        assert (ended(run).status, run.finished_at, run.fragments) == ("running", None, {})

        assert work(*sent[-1]) == "ok"
        assert (ended(run).status, run.problem, run.batch_count) == ("ok", "", 3)
        assert run.finished_at is not None
        assert run.finished_at >= run.started_at
        assert {name: counts["stored"] for name, counts in run.fragments.items()} == {
            "shop.price": 4,
            "shop.tag": 1,
        }

    def test_it_does_what_a_run_of_one_machine_does(self, price: Any) -> None:
        done(price)
        assert warm(price).totals.fresh == 4
        assert totals(done(price)) == {"planned": 4, "fresh": 4}
        assert totals(done(price, options={"force": True})) == {
            "planned": 4,
            "rendered": 4,
            "stored": 4,
        }

    def test_the_alias_that_was_asked_for_is_filled(
        self, price: Any, settings: Any, tmp_path: Any
    ) -> None:
        other = settings.CACHES["embedded"] | {"LOCATION": str(tmp_path / "other")}
        settings.CACHES = settings.CACHES | {"other": other}
        done(price, using="other", options={"using": "other"})

        assert warm(price, using="other").totals.fresh == 4
        assert warm(price).totals.fresh == 0

    def test_what_fails_in_a_batch_is_counted_and_logged(
        self, price: Any, hooks: Hooks, caplog: pytest.LogCaptureFixture
    ) -> None:
        hooks[3] = lambda: fail(ValueError("no price"))
        run = done(price)

        assert (run.status, totals(run)) == (
            "failed",
            {"planned": 4, "rendered": 3, "stored": 3, "failed": 1},
        )
        assert run.problem.startswith("1 failed and 0 were refused by the cache, of 4")
        assert "shop.price(3) failed: ValueError: no price" in caplog.text
        assert [found.status for found in run.batches.all()] == ["ok", "failed"]

    def test_what_the_cache_refuses_is_told_with_its_reason(
        self, declare: Any, templates: Any, settings: Any, memcached_address: str
    ) -> None:
        backend = "fragcache.backends.memcached.MemcachedCache"
        small = {"BACKEND": backend, "LOCATION": memcached_address, "KEY_PREFIX": "refusing"}
        settings.CACHES = settings.CACHES | {"small": small}
        templates({"page.html": "{{ text }}"})

        @declare("page.html", name="shop.page", items=[1, 2, 3, 4])
        def page(n: int) -> dict[str, Any]:
            return {"text": "long" * (500_000 if n > 1 else 1)}

        run = done(page, using="small", options={"using": "small"})
        assert (run.status, run.total("stored"), run.total("refused")) == ("failed", 1, 3)
        assert "Refused 3 of shop.page: larger than 1,047,552 bytes." in run.problem

    def test_a_cache_that_is_down_is_no_failure_of_the_site(
        self, price: Any, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, sent = delivered(price, batch_size=2)
        work(*sent[0])
        with monkeypatch.context() as patch:
            patch.setattr(Store, "fetch_many", lambda *_: fail(CacheUnavailable("gone")))
            assert work(*sent[1]) == "unavailable"

        assert ended(run).status == "unavailable"
        assert "the cache is unavailable: gone" in run.problem
        assert run.total("stored") == 2

    def test_failed_says_more_than_unavailable(self, price: Any, tag: Any) -> None:
        run, sent = delivered(price, tag, batch_size=2)
        for number, status in enumerate(["unavailable", "failed"], start=1):
            run.batches.filter(number=number).update(status=status)
        work(*sent[2])
        assert ended(run).status == "failed"

    def test_items_that_cannot_be_listed_fail_and_the_others_go_on(
        self, price: Any, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        @declare("n.html", name="shop.broken", items=lambda: fail(LookupError("no such shelf")))
        def broken(n: int) -> dict[str, Any]:
            return {}

        run = done(broken, price)
        assert (run.status, run.total("stored"), run.total("failed")) == ("failed", 4, 1)
        assert "Batch 1 (shop.broken, its items): LookupError: no such shelf" in run.problem
        assert "shop.broken: no such shelf" in caplog.text

    def test_so_does_a_run_of_nothing_else(self, declare: Any, templates: Any) -> None:
        templates({"n.html": ""})

        @declare("n.html", name="shop.broken", items=lambda: fail(LookupError("no such shelf")))
        def broken(n: int) -> dict[str, Any]:
            return {}

        assert done(broken).status == "failed"

    def test_of_many_problems_three_are_told(self, tag: Any) -> None:
        run, sent = delivered(tag)
        rows = [
            WarmBatch(run=run, number=n, fragment="a.b", status="failed", problem="bad.")
            for n in range(2, 9)
        ]
        WarmBatch.objects.bulk_create(rows)
        work(*sent[0])

        assert ended(run).problem.count("bad.") == 3
        assert run.problem.endswith(" 4 more failed like that.")

    def test_a_process_that_dies_while_it_ends_the_run_is_replaced(self, price: Any) -> None:
        run, sent = delivered(price, batch_size=2)
        sent_twice = list(sent)
        sent.work()
        just_now = timezone.now()
        WarmRun.objects.update(status="running", fragments={}, finished_at=just_now)
        assert not gathering.finish(run.pk), "another process is at it"
        WarmRun.objects.update(finished_at=just_now - dt.timedelta(seconds=claims.LIFE + 1))

        assert [work(*message) for message in sent_twice] == ["done, or in other hands"] * 2
        assert renew(run, sent) == 0
        assert (ended(run).status, run.total("stored")) == ("ok", 4)


class TestManifest:
    """Targets follow to a new digest when every instance has it."""

    def published(self) -> list[str]:
        manifest._remembered.clear()
        return [name for name in ("shop.price", "shop.tag") if find(store(), name)]

    def test_it_is_published_at_the_end(self, price: Any, tag: Any) -> None:
        _run, sent = delivered(price, tag, batch_size=2)
        for message in sent[:-1]:
            work(*message)
        assert self.published() == []
        work(*sent[-1])
        assert self.published() == ["shop.price", "shop.tag"]

    def test_not_by_the_first_batch_of_a_fragment_without_axes(
        self, declare: Any, templates: Any
    ) -> None:
        templates({"n.html": "{{ n }}"})

        @declare("n.html", name="shop.tag", items=[1, 2], vary_on=["-language", "-time_zone"])
        def plain(n: int) -> dict[str, Any]:
            return {"n": n}

        _run, sent = delivered(plain, batch_size=1)
        work(*sent[0])
        assert self.published() == []
        work(*sent[1])
        assert self.published() == ["shop.tag"]

    @pytest.mark.parametrize("asked", [{"items": ["1"]}, {"axis": ["language=en-us"]}])
    def test_not_by_a_run_of_a_part(self, price: Any, asked: dict[str, Any]) -> None:
        assert done(price, options=asked).status == "ok"
        assert self.published() == []

    def test_not_of_a_fragment_of_which_a_batch_broke_off(self, price: Any, tag: Any) -> None:
        run, sent = delivered(price, tag, batch_size=2)
        run.batches.filter(number=1).update(status="failed", problem="died.")
        for message in sent:
            work(*message)
        assert ended(run).status == "failed"
        assert self.published() == ["shop.tag"]

    def test_not_of_one_whose_items_a_worker_cannot_list(
        self, declare: Any, templates: Any, artists: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"n.html": ""})
        is_broken = []

        def items() -> Any:
            return fail(LookupError("no such shelf")) if is_broken else Artist.objects.all()

        @declare("n.html", name="shop.tag", items=items, model=Artist, version=None)
        def tag(artist: Artist) -> dict[str, Any]:
            return {}

        run, sent = delivered(tag, batch_size=1)
        work(*sent[0])
        is_broken.append(True)
        work(*sent[1])
        assert ended(run).status == "failed"
        assert "it broke off: the log of its worker says why." in run.problem
        assert "no such shelf" in caplog.text
        assert self.published() == []

    def test_how_one_machine_has_walked_it_is_kept(self, artist_card: Any) -> None:
        warm(artist_card)
        walked = manifest.walked(store(), artist_card.name)
        assert walked is not None
        Artist.objects.create(name="Abbey")
        assert done(artist_card).total("rendered") == 1
        assert manifest.walked(store(), artist_card.name) == walked

    def test_although_single_instances_have_failed_as_by_one_machine(
        self, price: Any, hooks: Hooks
    ) -> None:
        hooks[3] = lambda: fail(ValueError("no price"))
        assert done(price).status == "failed"
        assert self.published() == ["shop.price"]

    def test_not_by_a_process_with_another_digest(self, price: Any) -> None:
        run, sent = delivered(price, batch_size=2)
        work(*sent[0])
        run.batches.filter(number=1).update(description={"digest": "another", "axis_values": {}})
        work(*sent[1])
        assert ended(run).status == "ok"
        assert self.published() == []

    def test_a_cache_that_is_down_by_then_makes_the_run_unavailable(
        self, price: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(manifest, "publish", lambda *_: fail(CacheUnavailable("gone")))
        run = done(price)
        assert (run.status, run.problem) == ("unavailable", "The cache is unavailable: gone")


class TestOtherReleases:
    def test_a_worker_with_another_digest_says_so(self, price: Any, templates: Any) -> None:
        run, sent = delivered(price, batch_size=2)
        templates({"n.html": "new: {{ n }}"})

        assert sent.work() == ["failed", "failed"]
        assert batch(run).problem == "this worker runs another release: restart it."
        assert ended(run).status == "failed"
        assert "this worker runs another release: restart it." in run.problem
        assert warm(price).totals.fresh == 0, "it has stored nothing"

    def test_so_does_one_without_the_fragment(self, price: Any) -> None:
        run, sent = delivered(price)
        registry.remove("shop.price")
        assert sent.work() == ["failed"]
        assert batch(run).problem == "this worker runs another release: restart it."

    def test_a_worker_of_a_target_does_nothing(self, price: Any, settings: Any) -> None:
        run, sent = delivered(price)
        settings.FRAGCACHE = settings.FRAGCACHE | {"READ_ONLY": True}
        assert sent.work() == ["failed"]
        assert "this worker has FRAGCACHE['READ_ONLY']" in batch(run).problem


class Broken(Sent):
    """A queue that takes so many messages."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, run: int, number: int) -> None:
        if len(self) == self.room:
            raise ConnectionError("refused.\nfor long")
        super().__call__(run, number)


class TestLost:
    def test_what_the_queue_did_not_take_is_sent_by_the_next(self, price: Any, tag: Any) -> None:
        run, broken = begun(price, tag, batch_size=2), Broken(1)
        with pytest.raises(QueueUnavailable, match=r"^The queue takes no messages: refused\.$"):
            deliver(run, broken)
        sent = Sent()

        assert renew(run, sent) == 2
        assert sorted([*broken, *sent]) == [(run.pk, 1), (run.pk, 2), (run.pk, 3)]

    def test_what_waits_for_long_is_sent_again_if_no_worker_gives_a_sign(
        self, price: Any, tag: Any
    ) -> None:
        run, sent = delivered(price, tag, batch_size=2)
        work(*sent[0])
        sent.clear()
        age(run, runs.SILENCE - 10)
        assert renew(run, sent) == 0
        age(run, runs.SILENCE + 10)

        assert renew(run, sent) == 2
        assert renew(run, sent) == 0, "once in so long a time"

    def test_what_waits_for_long_is_left_while_workers_are_at_others(self, price: Any) -> None:
        run, sent = delivered(price, batch_size=2)
        age(run, runs.SILENCE + 10)
        claims.claimed(batch(run, 1))
        sent.clear()

        assert renew(run, sent) == 0


class TestGoingOn:
    def test_one_that_is_not_ended(self, price: Any) -> None:
        assert going_on(None) is None
        run, sent = delivered(price)
        assert going_on(None) == run
        sent.work()
        assert going_on(None) is None

    def test_not_of_another_cache(self, price: Any, cache_alias: str) -> None:
        run, _sent = delivered(price, options={"using": cache_alias})
        assert going_on(None) == run, "the alias that is meant without one"
        assert going_on("redis") is None

    def test_one_without_a_sign_for_an_hour_has_died(self, price: Any) -> None:
        assert runs.ABANDONED == 3600
        run, _sent = delivered(price, batch_size=2)
        WarmRun.objects.update(started_at=timezone.now() - 2 * HOUR)
        claims.claimed(batch(run))
        age(run, runs.ABANDONED - 10)
        assert going_on(None) == run
        age(run, runs.ABANDONED + 10)
        assert going_on(None) is None

    def test_one_that_has_died_is_closed_by_the_next(self, price: Any) -> None:
        old, sent = delivered(price, batch_size=2)
        work(*sent[0])
        WarmRun.objects.update(started_at=timezone.now() - 2 * HOUR)
        age(old, runs.ABANDONED + 10)

        begun(price)
        assert (ended(old).status, old.total("stored")) == ("failed", 2)
        assert "No worker gave a sign any more" in old.problem
        assert work(*sent[1]) == "its run is over"

    def test_one_that_only_has_to_be_ended_is(self, price: Any) -> None:
        run, _sent = delivered(price)
        run.batches.update(status="ok")
        assert going_on(None) is None
        assert ended(run).status == "ok"


class TestRows:
    def test_inside_of_a_transaction_nothing_is_begun(self, price: Any) -> None:
        with transaction.atomic(), pytest.raises(TransactionOpen):
            begun(price)
        assert not WarmRun.objects.exists()

    def test_batches_are_kept_of_twenty_runs(self, price: Any) -> None:
        assert runs.KEPT == 20
        for hours in range(30):
            run = WarmRun.objects.create(
                host="h",
                pid=1,
                started_at=timezone.now() - hours * HOUR,
                status="running" if hours == 28 else "ok",
                batch_count=1,
                options={"using": "elsewhere"},
            )
            WarmBatch.objects.create(run=run, number=1)
        begun(price)

        kept = set(WarmBatch.objects.values_list("run", flat=True))
        assert len(kept) == 20 + 2, "of what goes on as well"
        assert WarmRun.objects.count() == 31

    def test_a_batch_is_named(self, price: Any) -> None:
        run, _sent = delivered(price)
        assert str(batch(run)) == "1: shop.price, waiting"
