"""Every run of ``warm_fragments`` is recorded, with what was asked for and how it ended."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from fragcache.exceptions import CacheUnavailable, TransactionOpen
from fragcache.models import WarmRun
from fragcache.store import Store, store
from fragcache.warming import Run, Status, WarmingLock, recording
from tests.fixtures import any_cache
from tests.recorded_runs import Hooks, fail, the_run, warm

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
COUNTS = ["planned", "fresh", "rendered", "stored", "refused", "failed", "seconds"]


class TestRow:
    def test_it_says_who_when_and_how_it_ended(self, hooks: Hooks) -> None:
        before = timezone.now()
        assert warm() == 0

        run = the_run()
        assert (run.host, run.pid) == (socket.gethostname(), os.getpid())
        assert run.finished_at is not None
        assert before <= run.started_at <= run.finished_at <= timezone.now()
        assert (run.status, run.problem) == ("ok", "")
        assert str(run) == f"{run.started_at:%Y-%m-%d %H:%M:%S}, {run.host}: ok"

    def test_its_counts_are_those_of_the_json_document(
        self, hooks: Hooks, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("warm_fragments", "--json")

        run = the_run()
        assert run.fragments == json.loads(capsys.readouterr().out)["fragments"]
        assert list(run.fragments) == ["shop.price"]
        assert sorted(run.fragments["shop.price"]) == sorted(COUNTS)
        assert (run.total("planned"), run.total("fresh"), run.total("stored")) == (4, 0, 4)

    def test_its_options_are_what_was_asked_for(self, hooks: Hooks) -> None:
        warm("shop.price", "--items", "1", "2", "--axis", "language=en", "--limit", "0", "--force")

        options = the_run().options
        assert options.items() >= {"limit": 0, "force": True, "batch_size": 500}.items()
        assert options["labels"] == ["shop.price"]
        assert options["items"] == ["1", "2"]
        assert options["axis"] == ["language=en"]
        assert set(options) <= set(recording.ASKED)
        assert {"exclude", "using", "wait"}.isdisjoint(options), "they were not given"

    def test_a_wait_without_end_is_recorded(self, hooks: Hooks) -> None:
        warm("shop.price", "--wait", "inf")

        assert the_run().options["wait"] == "inf"

    def test_a_long_list_of_items_is_cut_short(self) -> None:
        items = recording.asked({"items": list(range(500)), "settings": "secret"})["items"]
        assert (len(items), items[0], items[-2:]) == (101, "0", ["99", "..."])

    def test_its_words_are_those_of_reports(self) -> None:
        assert set(WarmRun.Status.values) == {"running", *map(str, Status)}

    def test_the_migration_is_complete(self) -> None:
        call_command("makemigrations", "fragcache", check=True, dry_run=True, verbosity=0)

    def test_of_1000_the_oldest_are_deleted(self, hooks: Hooks) -> None:
        assert recording.KEPT == 1000
        moments = [timezone.now() - dt.timedelta(hours=hour) for hour in range(1, 1005)]
        WarmRun.objects.bulk_create(
            WarmRun(host="h", pid=1, started_at=moment, status="ok") for moment in moments
        )
        warm()

        assert WarmRun.objects.count() == 1000
        assert WarmRun.objects.latest("started_at").host == socket.gethostname()
        assert WarmRun.objects.earliest("started_at").started_at == moments[998]


class TestEnd:
    def test_a_failing_instance(self, hooks: Hooks) -> None:
        hooks[2] = lambda: fail(ValueError("no price"))

        assert warm() == 1
        run = the_run()
        assert run.status == "failed"
        assert run.problem == (
            "1 failed and 0 were refused by the cache, of 4; the log names them."
        )
        assert (run.total("stored"), run.total("failed")) == (3, 1)

    def test_the_limit(self, hooks: Hooks) -> None:
        assert warm("--limit", "3") == 0
        assert (the_run().status, the_run().total("stored")) == ("incomplete", 3)

    def test_a_cache_that_goes_away(self, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(*_arguments: Any) -> None:
            raise CacheUnavailable("alias 'x': gone")

        hooks[2] = lambda: monkeypatch.setattr(Store, "advance_many", down)
        code = warm("--batch-size", "1")

        assert code == 75
        run = the_run()
        assert (run.status, run.problem) == (
            "unavailable",
            "The cache is unavailable: alias 'x': gone",
        )
        assert run.total("stored") == 1

    def test_a_signal(self, hooks: Hooks) -> None:
        hooks[2] = lambda: os.kill(os.getpid(), signal.SIGTERM)

        assert warm("--batch-size", "2") == 143
        run = the_run()
        assert (run.status, run.problem) == ("interrupted", "Interrupted; what was done is kept.")
        assert run.total("stored") == 2
        assert run.finished_at is not None

    def test_a_second_signal_which_ends_it_at_once(self, hooks: Hooks) -> None:
        def impatient() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

        hooks[2] = impatient
        with pytest.raises(SystemExit):
            warm("--batch-size", "1")

        run = the_run()
        assert (run.status, run.total("stored")) == ("interrupted", 1)
        assert run.problem == "Interrupted in the middle of a batch by SystemExit(130)."

    def test_an_exception_of_which_nobody_thought(
        self, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Run, "execute", lambda _run: fail(RuntimeError("odd\0\udc80")))
        with pytest.raises(RuntimeError):
            warm()

        assert (the_run().status, the_run().problem) == ("failed", "RuntimeError: odd\\udc80")


class TestNotRecorded:
    @pytest.mark.parametrize("option", ["--dry-run", "--check"])
    def test_what_stores_nothing(self, hooks: Hooks, option: str) -> None:
        warm(option)
        assert not WarmRun.objects.exists()

    def test_a_run_that_found_the_lock_taken(self, hooks: Hooks) -> None:
        with WarmingLock(store()):
            assert warm() == 0
            assert warm("--wait", "0.1") == 75
        assert not WarmRun.objects.exists()

    def test_a_run_that_refuses_to_be_inside_of_a_transaction(self, hooks: Hooks) -> None:
        with transaction.atomic():
            with pytest.raises(TransactionOpen):
                warm()
            assert not WarmRun.objects.exists()

    def test_a_run_whose_cache_was_down_from_the_start(
        self, hooks: Hooks, settings: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        settings.CACHES = settings.CACHES | {
            "down": {
                "BACKEND": "fragcache.backends.embedded.EmbeddedCache",
                "LOCATION": str(tmp_path / "file" / "cache"),
            }
        }
        assert warm("--using", "down") == 75
        assert not WarmRun.objects.exists()
