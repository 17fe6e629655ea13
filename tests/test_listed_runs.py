"""``fragments runs``: what is recorded, and which runs died without a word."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from fragcache import registry
from fragcache.exceptions import CacheUnavailable
from fragcache.management.commands.fragments import Command
from fragcache.models import WarmRun
from fragcache.store import store
from fragcache.warming import Report, WarmingLock
from fragcache.warming.distributed import runs, work
from fragcache.warming.history import Locks, status_of
from fragcache.warming.locks import base
from fragcache.warming.recording import Recording
from tests.enqueued import age, delivered
from tests.fixtures import any_cache
from tests.recorded_runs import Hooks, the_run, warm

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
HEADINGS = "started took host status planned fresh rendered stored refused failed".split()
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that returns what ``fragments runs`` prints."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        call_command("fragments", "runs", *arguments)
        return capsys.readouterr().out

    return run


def recorded(**given: Any) -> WarmRun:
    counts = {"planned": 9, "fresh": 4, "rendered": 5, "stored": 3, "refused": 2, "failed": 1}
    defaults = {
        "host": "web1",
        "pid": 77,
        "started_at": NOON,
        "finished_at": NOON + dt.timedelta(seconds=1234.5),
        "status": "failed",
        "fragments": {"a": counts | {"seconds": 1.0}, "b": counts | {"seconds": 2.0}},
    }
    return WarmRun.objects.create(**(defaults | given))


class TestTable:
    def test_a_line_for_each_run_the_newest_first(self, printed: Any, settings: Any) -> None:
        settings.TIME_ZONE = "Europe/Athens"
        recorded()
        recorded(started_at=NOON - dt.timedelta(hours=1), status="ok", fragments={})

        lines = printed().splitlines()
        assert lines[0].split() == HEADINGS
        assert lines[1].split() == (
            "2026-11-21 14:00:00 1,234.5 s web1 failed 18 8 10 6 4 2".split()
        )
        assert lines[2].split() == ("2026-11-21 13:00:00 4,834.5 s web1 ok 0 0 0 0 0 0".split())

    def test_the_limit(self, printed: Any) -> None:
        for hour in range(30):
            recorded(started_at=NOON + dt.timedelta(hours=hour))

        assert len(printed().splitlines()) == 1 + 20
        assert len(printed("--limit", "25").splitlines()) == 1 + 25
        with pytest.raises(CommandError, match="'0' is not a number of 1 or more"):
            printed("--limit", "0")

    def test_json_is_one_document(self, printed: Any, hooks: Hooks) -> None:
        warm("shop.price")
        run = the_run()

        document = json.loads(printed("--json"))
        assert list(document) == ["format", "runs"]
        assert document["format"] == 1
        [found] = document["runs"]
        assert run.finished_at is not None
        assert found == {
            "started_at": run.started_at.isoformat(),
            "finished_at": run.finished_at.isoformat(),
            "seconds": round((run.finished_at - run.started_at).total_seconds(), 3),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "status": "ok",
            "options": run.options,
            "batches": None,
            "fragments": run.fragments,
            "totals": dict(zip(HEADINGS[4:], [4, 0, 4, 4, 0, 0], strict=True)),
            "problem": "",
        }

    def test_without_runs_it_says_what_to_do(
        self, printed: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("fragments", "runs")
        said = capsys.readouterr()
        assert (said.out, said.err) == (
            "",
            "No runs are recorded: each run of `manage.py warm_fragments` will be.\n",
        )
        assert json.loads(printed("--json")) == {"format": 1, "runs": []}

    def test_help_tells_of_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        for arguments in (["--help"], ["runs", "--help"]):
            with pytest.raises(SystemExit):
                Command().run_from_argv(["manage.py", "fragments", *arguments])
        said = " ".join(capsys.readouterr().out.split())
        assert "runs The recorded runs of warm_fragments, the newest first." in said
        assert "--limit N How many; default 20." in said


class TestUnreadable:
    def test_a_missing_table_is_one_clear_error(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE fragcache_warmbatch")
            cursor.execute("DROP TABLE fragcache_warmrun")

        with pytest.raises(CommandError) as caught:
            call_command("fragments", "runs")
        said = str(caught.value)
        assert caught.value.returncode == 1
        assert said.startswith("The recorded runs cannot be read: ")
        assert "fragcache_warmrun" in said
        assert said.endswith("`manage.py migrate fragcache` makes it.")
        assert "\n" not in said

    @pytest.mark.parametrize("engine", ["django.db.backends.dummy", "django.db.backends.sqlite3"])
    def test_so_is_a_database_that_is_not_there(
        self, runs_in: Any, tmp_path: Path, engine: str
    ) -> None:
        runs_in(ENGINE=engine, NAME=str(tmp_path / "no" / "folder"))

        with pytest.raises(CommandError, match="The recorded runs cannot be read: "):
            call_command("fragments", "runs")

    def test_so_is_an_alias_that_is_none(self, settings: Any) -> None:
        settings.DATABASE_ROUTERS = ["tests.recorded_runs.Router"]

        with pytest.raises(CommandError, match="The recorded runs cannot be read: "):
            call_command("fragments", "runs")


def begun(monkeypatch: pytest.MonkeyPatch, pid: int | None = None) -> WarmingLock:
    """Begin a run of a process, which goes on."""
    if pid is not None:
        monkeypatch.setattr(os, "getpid", lambda: pid)
    held = WarmingLock(store())
    held.__enter__()
    Recording({}, Report()).__enter__()
    monkeypatch.undo()
    return held


def shown(run: WarmRun) -> str:
    return status_of(run, Locks())


@pytest.fixture
def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


class TestDied:
    """Of a run that never ended."""

    def test_one_that_holds_its_lock_is_running(
        self, monkeypatch: pytest.MonkeyPatch, printed: Any
    ) -> None:
        held = begun(monkeypatch)

        assert shown(the_run()) == "running"
        assert json.loads(printed("--json"))["runs"][0]["seconds"] >= 0
        held.__exit__(None, None, None)

    def test_one_whose_lock_is_over_died(
        self, monkeypatch: pytest.MonkeyPatch, printed: Any
    ) -> None:
        begun(monkeypatch).__exit__(None, None, None)

        assert shown(the_run()) == "died"
        assert the_run().status == "running", "the row stays as it is"
        assert printed().splitlines()[1].split()[3:] == "died 0 0 0 0 0 0".split()
        assert json.loads(printed("--json"))["runs"][0]["seconds"] is None

    def test_one_whose_process_is_gone_from_this_host_died_at_once(
        self, monkeypatch: pytest.MonkeyPatch, ended_process: int
    ) -> None:
        held = begun(monkeypatch, ended_process)

        assert shown(the_run()) == "died"
        held._lock._ended.set()

    @pytest.mark.parametrize("elsewhere", ["host", "container"])
    def test_a_process_that_is_not_to_be_seen_from_here_is_running(
        self, monkeypatch: pytest.MonkeyPatch, ended_process: int, elsewhere: str
    ) -> None:
        if elsewhere == "host":
            monkeypatch.setattr(socket, "gethostname", lambda: "web9")
        else:
            monkeypatch.setattr(base, "pid_space", lambda: "pid:[1]")
        held = begun(monkeypatch, ended_process)

        assert shown(the_run()) == "running"
        held._lock._ended.set()

    def test_an_earlier_one_of_the_same_name_and_pid_died(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorded(
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=timezone.now(),
            finished_at=None,
            status="running",
        )
        held = begun(monkeypatch)

        assert [shown(run) for run in WarmRun.objects.all()] == ["running", "died"]
        held.__exit__(None, None, None)

    def test_of_a_cache_that_does_not_answer_nothing_is_concluded(
        self, settings: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        settings.CACHES = settings.CACHES | {
            "down": settings.CACHES["embedded"] | {"LOCATION": str(tmp_path / "file" / "cache")}
        }
        for alias in ("down", "no longer there"):
            run = recorded(status="running", finished_at=None, options={"using": alias})
            assert shown(run) == "running", alias

    def test_each_cache_is_asked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []
        monkeypatch.setattr("fragcache.warming.history.holder_of", asked.append)
        locks = Locks()
        for _run in range(3):
            run = recorded(status="running", finished_at=None)
            assert status_of(run, locks) == "died"

        assert len(asked) == 1

    def test_one_that_does_not_answer_is_waited_for_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []

        def silent(cache: Any) -> None:
            asked.append(cache)
            raise CacheUnavailable("no answer")

        monkeypatch.setattr("fragcache.warming.history.holder_of", silent)
        locks = Locks()
        runs = [recorded(status="running", finished_at=None) for _run in range(3)]
        assert [status_of(run, locks) for run in runs] == ["running"] * 3
        assert len(asked) == 1


class TestEnqueued:
    """Of a run that workers do."""

    def status(self, printed: Any) -> list[str]:
        return printed().splitlines()[1].split()[5:]

    def test_the_batches_that_are_done_are_shown_with_their_counts(
        self, hooks: Hooks, printed: Any
    ) -> None:
        _run, sent = delivered(registry.get("shop.price"), batch_size=2)
        assert self.status(printed) == "enqueued 0/2 0 0 0 0 0 0".split()
        work(*sent[0])
        assert self.status(printed) == "running 1/2 2 0 2 2 0 0".split()
        [found] = json.loads(printed("--json"))["runs"]
        assert (found["status"], found["batches"]) == ("running", {"done": 1, "count": 2})
        assert found["totals"]["stored"] == 2
        assert found["fragments"]["shop.price"]["stored"] == 2

        work(*sent[1])
        assert self.status(printed) == "ok 4 0 4 4 0 0".split()
        [found] = json.loads(printed("--json"))["runs"]
        assert (found["status"], found["batches"]) == ("ok", {"done": 2, "count": 2})

    def test_one_that_a_worker_is_at_is_running(self, hooks: Hooks, printed: Any) -> None:
        run, _sent = delivered(registry.get("shop.price"), batch_size=2)
        run.batches.filter(number=2).update(attempts=1, status="running")
        assert self.status(printed)[:2] == ["running", "0/2"]

    def test_one_without_a_sign_of_workers_died(self, hooks: Hooks, printed: Any) -> None:
        run, sent = delivered(registry.get("shop.price"), batch_size=2)
        work(*sent[0])
        long_ago = timezone.now() - dt.timedelta(seconds=runs.ABANDONED + 10)
        WarmRun.objects.update(started_at=long_ago)
        assert shown(the_run()) == "running"
        age(run, runs.ABANDONED + 10)

        assert shown(the_run()) == "died"
        assert printed().splitlines()[1].split()[3:5] == ["died", "1/2"]

    def test_one_whose_batches_were_not_all_listed_died_with_its_process(
        self, printed: Any
    ) -> None:
        recorded(status="running", finished_at=None, options={"enqueue": True})
        assert printed().splitlines()[1].split()[3] == "died"
