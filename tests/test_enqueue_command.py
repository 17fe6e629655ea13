"""``warm_fragments --enqueue``: what it says, waits for and refuses."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import json
import os
import signal
import sys
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from fragcache import registry
from fragcache.management import enqueueing, queues
from fragcache.models import WarmBatch, WarmRun
from fragcache.store import store
from fragcache.warming import WarmingLock
from fragcache.warming.distributed import claims, work
from tests.enqueued import HeldBackend, age, empty, ended, held
from tests.enqueued import queue as queue  # noqa: PLC0414 - a fixture
from tests.fixtures import any_cache
from tests.recorded_runs import Hooks, fail, the_run
from tests.warming import warm

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias", "hooks", "queue"),
]
TASKS = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"
WHERE = "`manage.py fragments runs` shows how they go."
SMALL = ("--batch-size", "2")
GOING_ON = "Another run is going on: 0 of 2 batches are done"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueueing, "_POLL", 0.02)
    monkeypatch.setattr("fragcache.warming.distributed.turns._POLL", 0.02)


class Said:
    """What a command has said, and its exit code with the error's text."""

    def __init__(self, out: str, err: str, code: int, error: str) -> None:
        self.out, self.err, self.code, self.error = out, err, code, error

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that runs ``warm_fragments``."""

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code, error = 0, ""
        try:
            call_command("warm_fragments", *arguments)
        except CommandError as caught:
            code, error = caught.returncode, str(caught)
        said = capsys.readouterr()
        return Said(said.out, said.err, code, error)

    return call


@pytest.fixture
def enqueue(run: Any) -> Any:
    """A function that runs ``warm_fragments --enqueue`` with two batches of two."""
    return lambda *arguments: run("--enqueue", *SMALL, *arguments)


class TestAtOnce:
    def test_it_says_how_many_batches_and_where_to_look(self, enqueue: Any) -> None:
        said = enqueue()
        assert (said.code, said.out) == (0, "")
        assert said.err == f"2 batches of 4 instances are enqueued; {WHERE}\n"
        pk = the_run().pk
        assert held == [{"run": pk, "number": 1}, {"run": pk, "number": 2}]

    def test_v0_says_nothing(self, enqueue: Any) -> None:
        said = enqueue("-v0")
        assert (said.code, said.out, said.err) == (0, "", "")

    def test_one_batch_of_who_knows_how_many(self, run: Any) -> None:
        said = run("shop.price", "--enqueue", "--items", "3")
        assert said.err == f"1 batch is enqueued; {WHERE}\n"
        assert empty() == ["ok"]
        assert the_run().total("stored") == 1

    def test_the_document_has_what_is_planned(self, enqueue: Any, settings: Any) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        document = enqueue("--json").document

        assert document["status"] == "incomplete"
        assert document["fragments"]["shop.price"]["planned"] == 8
        assert document["totals"]["stored"] == 0

    def test_it_is_recorded_as_asked_for(self, enqueue: Any) -> None:
        enqueue("--force")
        options = the_run().options
        assert options.items() >= {"enqueue": True, "force": True, "batch_size": 2}.items()

    def test_the_queue_is_that_of_the_setting(self, enqueue: Any, settings: Any) -> None:
        backend = f"{HeldBackend.__module__}.HeldBackend"
        settings.TASKS = {"default": {"BACKEND": backend, "QUEUES": ["warm", "default"]}}
        settings.FRAGCACHE = settings.FRAGCACHE | {"QUEUE": "warm"}
        assert enqueue().code == 0
        settings.FRAGCACHE = settings.FRAGCACHE | {"QUEUE": "hot"}
        said = enqueue()
        assert said.code == 2
        assert said.error == (
            "--enqueue: the setting TASKS carries no batches to workers: Queue 'hot' is not valid "
            "for backend. FRAGCACHE['QUEUE'] names the queue."
        )

    def test_a_queue_that_is_down_is_75_and_the_next_call_sends_the_rest(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(HeldBackend, "error", ConnectionError("refused"))
        said = enqueue()
        assert said.code == 75
        assert said.error == (
            "The queue takes no messages: refused. What was not sent is sent when --enqueue is "
            "called again."
        )
        monkeypatch.undo()

        said = enqueue()
        assert said.err == f"{GOING_ON}; 2 that were lost are enqueued again.\n"
        assert empty() == ["ok", "ok"]
        assert the_run().status == "ok"


class TestImmediate:
    """A backend that does the work at once."""

    @pytest.fixture(autouse=True)
    def backend(self, settings: Any, queue: Any) -> None:
        settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.immediate.ImmediateBackend"}}

    def test_a_line_says_so_and_the_report_is_as_ever(self, enqueue: Any) -> None:
        said = enqueue()
        assert said.err == "The queue does its work at once, in this process.\n"
        assert said.out.split()[:7] == "shop.price 4 planned 0 fresh 4 rendered".split()
        assert enqueue("--json").document["totals"]["fresh"] == 4

    def test_what_fails_is_exit_code_1(self, enqueue: Any, hooks: Hooks) -> None:
        hooks[3] = lambda: fail(ValueError("no price"))
        said = enqueue("--json")
        assert said.code == 1
        assert said.error.startswith("1 failed and 0 were refused by the cache, of 4")
        assert said.document["status"] == "failed"

    def test_a_cache_of_this_process_alone_will_do(self, enqueue: Any, settings: Any) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
        assert enqueue().code == 0


class Worker:
    """Empties the queue when the command first sleeps, as if a process did so meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
        self.steps = list(steps)
        self._sleep = enqueueing.time.sleep
        monkeypatch.setattr(enqueueing.time, "sleep", self)

    def __call__(self, seconds: float) -> None:
        if threading.current_thread() is threading.main_thread() and self.steps:
            self.steps.pop(0)()
        self._sleep(seconds)


class TestWait:
    def test_it_ends_as_a_local_run_does(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Worker(monkeypatch, empty)
        said = enqueue("--wait", "30", "--json")

        assert (said.code, said.err) == (0, "")
        document = said.document
        assert document["status"] == "ok"
        counts = {"planned": 4, "fresh": 0, "rendered": 4, "stored": 4, "refused": 0, "failed": 0}
        assert document["fragments"]["shop.price"].items() >= counts.items()
        assert document["totals"].items() >= counts.items()

    def test_it_prints_the_table_without_json(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Worker(monkeypatch, empty)
        said = enqueue("--wait", "30")
        assert said.out.split()[:9] == "shop.price 4 planned 0 fresh 4 rendered 4 stored".split()

    def test_what_fails_is_exit_code_1(
        self, enqueue: Any, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooks[3] = lambda: fail(ValueError("no price"))
        Worker(monkeypatch, empty)
        said = enqueue("--wait", "30")
        assert said.code == 1
        assert said.error.startswith("1 failed and 0 were refused by the cache, of 4")

    def test_an_unavailable_cache_is_75(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ends() -> None:
            held.clear()
            WarmBatch.objects.update(status="unavailable", problem="the cache is unavailable: x")

        Worker(monkeypatch, ends)
        said = enqueue("--wait", "30", "--json")
        assert (said.code, said.document["status"]) == (75, "unavailable")
        assert "the cache is unavailable: x" in said.error

    def test_what_a_dead_worker_took_along_is_enqueued_again(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dies() -> None:
            held.clear()
            work(the_run().pk, 1)
            claims.claimed(the_run().batches.get(number=2))
            age(the_run(), claims.LIFE + 1, number=2)

        Worker(monkeypatch, dies, lambda: None, empty)
        said = enqueue("--wait", "30", "--json")
        assert (said.code, said.document["totals"]["stored"]) == (0, 4)
        assert the_run().batches.get(number=2).attempts == 2

    def test_75_when_it_runs_out(self, enqueue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        Worker(monkeypatch, lambda: work(the_run().pk, 1))
        said = enqueue("--wait", "1", "--json")

        assert (said.code, said.document["status"]) == (75, "incomplete")
        assert said.document["totals"]["stored"] == 2
        assert said.error == (
            f"--wait ran out: 1 of 2 batches are done, and the workers go on; {WHERE}"
        )
        assert the_run().status == "running"

    def test_a_signal_ends_the_waiting_alone(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Worker(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        said = enqueue("--wait", "30", "--json")

        assert (said.code, said.document["status"]) == (143, "interrupted")
        assert said.error.startswith("Interrupted: 0 of 2 batches are done, and the workers go on;")
        assert empty() == ["ok", "ok"]
        assert the_run().status == "ok"

    def test_a_queue_that_is_down_for_a_while_does_not_end_it(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dies() -> None:
            empty()
            monkeypatch.setattr(HeldBackend, "error", ConnectionError("refused"))
            WarmRun.objects.update(status="running", finished_at=None)
            WarmBatch.objects.filter(number=2).update(status="waiting", sent_at=None)

        def heals() -> None:
            assert not held
            monkeypatch.setattr(HeldBackend, "error", None)

        Worker(monkeypatch, dies, heals, lambda: None, empty)
        assert enqueue("--wait", "30").code == 0

    def test_progress_is_shown(self, enqueue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fragcache.management.progress.INTERVAL", 0)
        Worker(monkeypatch, lambda: work(the_run().pk, 1), lambda: work(the_run().pk, 2))
        said = enqueue("--wait", "30", "--progress")
        assert said.err.startswith("shop.price: 2 of 4 walked, ")


class TestMeeting:
    """Another run is going on."""

    def test_nothing_new_is_enqueued(self, enqueue: Any) -> None:
        enqueue()
        work(**held[0])
        said = enqueue()
        assert (said.code, said.out) == (0, "")
        assert said.err == "Another run is going on: 1 of 2 batches are done.\n"
        assert len(held) == 2
        assert WarmRun.objects.count() == 1

    def test_but_what_was_lost(self, enqueue: Any) -> None:
        enqueue()
        claims.claimed(the_run().batches.get(number=2))
        age(the_run(), claims.LIFE + 1, number=2)
        held.clear()

        said = enqueue("--json")
        assert said.err == f"{GOING_ON}; 1 that was lost is enqueued again.\n"
        assert said.document["status"] == "locked"
        assert held == [{"run": the_run().pk, "number": 2}]

    def test_with_wait_it_is_waited_for(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enqueue()
        Worker(monkeypatch, empty, empty)
        said = enqueue("--wait", "30", "--json")

        assert (said.code, said.document["totals"]["fresh"]) == (0, 4)
        assert [run.status for run in WarmRun.objects.all()] == ["ok", "ok"]

    def test_75_when_the_wait_runs_out(self, enqueue: Any) -> None:
        enqueue()
        said = enqueue("--wait", "0.1")
        assert (said.code, said.error) == (75, f"{GOING_ON}. --wait ran out.")

    def test_a_local_run_leaves_as_well(self, enqueue: Any, run: Any) -> None:
        enqueue()
        said = run("--json")
        assert (said.code, said.err) == (0, f"{GOING_ON}.\n")
        assert said.document["status"] == "locked"
        assert warm(registry.get("shop.price")).totals.fresh == 0

    def test_a_local_run_with_wait_waits(
        self, enqueue: Any, run: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enqueue()
        Worker(monkeypatch, empty)
        said = run("--wait", "30", "--json")
        assert (said.code, said.document["totals"]["fresh"]) == (0, 4)

    def test_a_local_run_whose_wait_runs_out_ends_with_75(self, enqueue: Any, run: Any) -> None:
        enqueue()
        said = run("--wait", "0.1")
        assert (said.code, said.error) == (75, f"{GOING_ON}. --wait ran out.")

    def test_a_dry_run_does_not_mind(self, enqueue: Any, run: Any) -> None:
        enqueue()
        assert run("--check").code == 1

    def test_one_of_another_cache_is_none(
        self, enqueue: Any, run: Any, settings: Any, tmp_path: Any
    ) -> None:
        other = settings.CACHES["embedded"] | {"LOCATION": str(tmp_path / "other")}
        settings.CACHES = settings.CACHES | {"other": other}
        enqueue("--using", "other")
        assert run("--json").document["status"] == "ok"

    def test_one_that_died_is_none(self, enqueue: Any) -> None:
        enqueue()
        old = the_run()
        WarmRun.objects.update(started_at=timezone.now() - dt.timedelta(hours=2))
        said = enqueue()
        assert said.err.startswith("2 batches of 4 instances are enqueued")
        assert ended(old).status == "failed"

    def test_while_a_local_run_goes_on_nothing_is_enqueued(self, enqueue: Any) -> None:
        with WarmingLock(store()):
            said = enqueue("--json")
        assert (said.code, said.document["status"]) == (0, "locked")
        assert said.err.startswith("Another run holds the lock: process ")
        assert not WarmRun.objects.exists()

    def test_a_lock_that_does_not_answer_is_75(self, enqueue: Any, settings: Any) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"LOCK": "file:/no/such/folder/lock"}
        said = enqueue("--json")
        assert (said.code, said.document["status"]) == (75, "unavailable")
        assert "/no/such/folder/lock" in said.error

    def test_the_lock_is_free_while_workers_work(self, enqueue: Any) -> None:
        enqueue()
        with WarmingLock(store()):
            assert empty() == ["ok", "ok"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("option", "named"),
        [
            (["--dry-run"], "--dry-run"),
            (["--check"], "--check"),
            (["--limit", "0"], "--limit"),
            (["--changed"], "--changed"),
            (["--time-budget", "9"], "--time-budget"),
            (["--max-rate", "9"], "--max-rate"),
            (["--parallel", "2"], "--parallel"),
        ],
    )
    def test_options_that_ask_for_work_of_this_process(
        self, enqueue: Any, option: list[str], named: str
    ) -> None:
        said = enqueue(*option)
        assert (said.code, said.error) == (
            2,
            f"{named} cannot be had with --enqueue: other processes do the work.",
        )
        assert not held

    def test_items_that_cannot_be_told(self, enqueue: Any, declare: Any) -> None:
        declare("n.html", name="shop.odd", items=[{}])(lambda n: {})
        said = enqueue()
        assert said.code == 2
        assert said.error.startswith("shop.odd cannot be enqueued: {}, an item or a part of one")
        assert not WarmRun.objects.exists()
        assert enqueue("--exclude", "shop.odd").code == 0

    def test_a_dummy_backend(self, enqueue: Any, settings: Any) -> None:
        settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.dummy.DummyBackend"}}
        said = enqueue()
        assert said.code == 2
        assert "the setting TASKS has the DummyBackend, which does nothing" in said.error

    def test_a_backend_that_cannot_be_found(self, enqueue: Any, settings: Any) -> None:
        settings.TASKS = {"default": {"BACKEND": "no.such.Backend"}}
        said = enqueue()
        assert said.code == 2
        assert "Could not find backend 'no.such.Backend'" in said.error

    def test_a_missing_package(self, enqueue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, "fragcache.contrib.tasks", raising=False)
            for module in ("django.tasks", "django_tasks"):
                patch.setitem(sys.modules, module, None)
            said = enqueue()
        assert said.code == 2
        assert "install fragcache[tasks], or use Celery by 'fragcache.contrib.celery'" in said.error

    def test_a_missing_table(self, enqueue: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE fragcache_warmbatch")
        said = enqueue()
        assert said.code == 2
        assert said.error.startswith("Batches for workers are kept in the database, but: ")
        assert said.error.endswith("`manage.py migrate fragcache` makes it.")

    def test_a_cache_of_this_process_alone(self, enqueue: Any, settings: Any) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
        said = enqueue()
        assert said.code == 2
        assert "the cache 'locmem' is one of each process alone" in said.error

    def test_a_target(self, enqueue: Any, settings: Any) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"READ_ONLY": True}
        assert enqueue().code == 2


class TestCelery:
    """``fragcache.contrib.celery`` in INSTALLED_APPS."""

    @pytest.fixture(autouse=True)
    def app(self, settings: Any) -> Any:
        from celery import Celery, current_app

        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, queues.CELERY]
        former = current_app._get_current_object()
        app = Celery("shop", broker="memory://", set_as_current=True)
        app.conf.task_default_queue = "celery"
        yield app
        app.close()
        former.set_current()

    def test_its_queue_has_the_messages(self, enqueue: Any, app: Any) -> None:
        assert enqueue().code == 0
        pk = the_run().pk
        assert messages(app, "celery") == [
            ("fragcache.warm_batch", {"run": pk, "number": 1}),
            ("fragcache.warm_batch", {"run": pk, "number": 2}),
        ]
        assert not held

    def test_the_queue_is_that_of_the_setting(self, enqueue: Any, app: Any, settings: Any) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"QUEUE": "warm"}
        assert enqueue().code == 0
        assert len(messages(app, "warm")) == 2

    def test_eager_work_is_done_at_once(self, enqueue: Any, app: Any) -> None:
        app.conf.task_always_eager = True
        said = enqueue("--json")
        assert said.err == "The queue does its work at once, in this process.\n"
        assert said.document["totals"]["stored"] == 4

    def test_a_site_without_an_app_is_told(
        self, enqueue: Any, app: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from celery import _state

        monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
        _state._set_current_app(None)
        said = enqueue()
        assert said.code == 2
        assert "but there is no Celery app: import it in the __init__.py" in said.error

    def test_a_site_without_celery_is_told(
        self, enqueue: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "celery", None)
        said = enqueue()
        assert said.code == 2
        assert said.error.endswith("Install fragcache[celery].")


def messages(app: Any, queue: str) -> list[tuple[str, dict[str, int]]]:
    """Return the task and arguments of what is in a queue."""
    found = []
    with app.connection_for_read() as broker, contextlib.closing(broker.SimpleQueue(queue)) as each:
        while each.qsize():
            message = each.get(block=False)
            message.ack()
            found.append((message.headers["task"], message.payload[1]))
    return found
