"""The lock in the cache, the database and a file: between processes, of which one is killed."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.utils import timezone

from fragcache.keys import lock_key
from fragcache.models import WarmRun
from fragcache.records import pack_document
from fragcache.store import store
from fragcache.warming import Locked, LockUnavailable, WarmingLock
from fragcache.warming.history import DIED, Locks, status_of
from fragcache.warming.locks import Holder, holder_of
from fragcache.warming.locks import file as file_lock
from fragcache.warming.locks.cache import sealed_form
from fragcache.warming.locks.file import default_path
from tests.plugin import require
from tests.recorded_runs import RUNS
from tests.settings import database_at
from tests.shop import SECRET_KEY
from tests.stopwatch import Stopwatch
from tests.test_warm_processes import Process, Shop, open_shop  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

#: mysql://user:password@host:port/name of a database, for those who have one and mysqlclient.
MYSQL_URL = os.environ.get("FRAGCACHE_TEST_MYSQL_URL")
DATABASES = ("postgresql", "mysql") if MYSQL_URL else ("postgresql",)


class Place(NamedTuple):
    """Where the lock is."""

    name: str
    shop: Shop

    @property
    def is_freed_by_a_kill(self) -> bool:
        return self.name != "cache"

    def start(self, *arguments: str, **changes: str) -> Process:
        """Start a run that goes on for some seconds; return when it has the lock."""
        return self.shop.start_slowly(*arguments, **{"SHOP_SECONDS": "0.5"} | changes)


@pytest.fixture(params=["cache", *DATABASES, "file"])
def place(
    request: pytest.FixtureRequest,
    open_shop: Callable[[str, str], Shop],
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """A site whose lock is of each kind in turn; this process is of it, too."""
    shop = open_shop("redis", require(request.config, "redis"))
    lock = "cache"
    if request.param in {"postgresql", "mysql"}:
        lock = "database"
        url = database_url(request)
        shop.environment["SHOP_DATABASE"] = url
        request.getfixturevalue("runs_in")(**database_at(url))
    elif request.param == "file":
        lock = "file"
        shop.environment["TMPDIR"] = str(tmp_path)
        monkeypatch.setattr(file_lock.tempfile, "tempdir", str(tmp_path))
    elif request.param == "path":
        lock = f"file:{tmp_path / 'warm.lock'}"
    shop.environment |= {"SHOP_LOCK": lock, "SHOP_LOCK_LIFE": "20"}
    settings.CACHES = settings.CACHES | {"fragments": shop.cache}
    settings.FRAGCACHE = {"SECRET_KEYS": [SECRET_KEY], "LOCK": lock}
    return Place(request.param, shop)


def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "mysql":
        assert MYSQL_URL
        return MYSQL_URL
    parts = urlsplit(require(request.config, "postgresql"))
    return parts._replace(path="/postgres").geturl()


def only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", names, indirect=True)


def wait_until_free() -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with WarmingLock(store()):
                return
        except Locked:
            time.sleep(0.01)
    raise AssertionError("the lock is stuck")


class TestTwoRuns:
    @only("cache", *DATABASES, "file", "path")
    def test_the_second_leaves_at_once_and_names_the_first(self, place: Place) -> None:
        before = time.time()
        first = place.start()
        holder = holder_of(store())
        assert holder is not None
        assert (holder.host, holder.pid) == (socket.gethostname(), first.popen.pid)
        assert holder.pid_space == str(Path("/proc/self/ns/pid").readlink())
        assert before < holder.since / 1_000_000 < time.time()

        with Stopwatch() as watch, pytest.raises(Locked) as caught:
            WarmingLock(store()).__enter__()
        assert watch.seconds < 1

        code, second = place.shop.run()

        assert (code, second.out) == (0, "")
        pattern = (
            rf"Another run holds the lock: process {first.popen.pid} on "
            rf"{re.escape(socket.gethostname())}, since \d\d:\d\d:\d\d UTC\."
        )
        assert re.fullmatch(pattern, str(caught.value))
        assert re.fullmatch(pattern + "\n", second.err)

    def test_the_second_waits_for_the_first(self, place: Place) -> None:
        first = place.start(SHOP_SECONDS="0.05")
        code, second = place.shop.run("--json", "--wait", "30")

        assert first.wait() == code == 0
        assert second.offers["fresh"] == first.offers["stored"]

    @only("cache", "file")
    def test_waiting_may_be_in_vain(self, place: Place) -> None:
        place.start()
        code, second = place.shop.run("--wait", "0.3")

        assert code == 75
        assert second.err.endswith("UTC. --wait ran out.\n")

    def test_the_lock_is_free_after_a_run(self, place: Place) -> None:
        code, _first = place.shop.run()

        assert code == 0
        assert holder_of(store()) is None
        with WarmingLock(store()):
            pass
        with WarmingLock(store()):
            pass

    def test_sites_of_another_prefix_are_not_locked_out(self, place: Place) -> None:
        place.start()
        code, other = place.shop.run("--json", SHOP_PREFIX="another")

        assert (code, other.document["status"]) == (0, "ok")


class TestKills:
    @only("cache", *DATABASES, "file", "path")
    def test_a_killed_run_does_not_hold_the_lock(self, place: Place) -> None:
        process = place.start(SHOP_LOCK_LIFE="2")
        with Stopwatch() as watch:
            process.end(signal.SIGKILL)
            wait_until_free()
        if place.is_freed_by_a_kill:
            assert watch.seconds < 1
        else:
            assert watch.elapsed > 1
            assert watch.seconds < 4

    @only(*DATABASES, "file")
    def test_the_processes_of_a_parallel_run_do_not_hold_it_either(self, place: Place) -> None:
        process = place.start("--parallel", "2", SHOP_SECONDS="0.2")
        with Stopwatch() as watch:
            process.end(signal.SIGKILL)
            wait_until_free()
        assert watch.seconds < 1


class TestHolders:
    @only(*DATABASES, "file")
    def test_a_run_whose_process_was_killed_has_died(self, place: Place) -> None:
        first = place.start()
        holder = holder_of(store())
        assert holder is not None
        run = run_of(holder.host, holder.pid)
        assert status_of(run, Locks()) == "running"

        first.end(signal.SIGKILL)

        wait_until_free()
        assert status_of(run, Locks()) == DIED

    @only(*DATABASES)
    def test_what_the_cache_has_forgotten_is_not_made_up(self, place: Place) -> None:
        first = place.start()
        lock = WarmingLock(store())
        store().delete_many(["fc1!warm-session"])

        with pytest.raises(Locked, match=r"^Another run holds the lock\.$"):
            lock.__enter__()
        with pytest.raises(LockUnavailable, match="the cache does not say whose it is"):
            holder_of(store())
        run = run_of(socket.gethostname(), first.popen.pid)
        assert status_of(run, Locks()) == "running", "nothing is concluded"

    @only(*DATABASES)
    def test_what_a_killed_run_left_is_not_taken_for_the_next_one(self, place: Place) -> None:
        process = place.start()
        left = store().fetch_many(["fc1!warm-session"])
        process.end(signal.SIGKILL)
        wait_until_free()
        with WarmingLock(store()):
            assert holder_of(store()).pid == os.getpid()
            store().backend.set_many(left, None)
            with pytest.raises(LockUnavailable, match="the cache does not say whose it is"):
                holder_of(store())


def run_of(host: str, pid: int) -> WarmRun:
    return WarmRun(host=host, pid=pid, started_at=timezone.now())


class TestDatabases:
    @only("postgresql")
    def test_a_transaction_of_the_site_neither_holds_nor_frees_it(self, place: Place) -> None:
        with WarmingLock(store()):
            connections[RUNS].close()
            with pytest.raises(Locked):
                WarmingLock(store()).__enter__()

    @only("postgresql")
    def test_a_connection_that_was_lost_is_no_error_at_the_end(self, place: Place) -> None:
        with WarmingLock(store()):
            with connections[RUNS].cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'fragcache warm_fragments'"
                )
            deadline = time.monotonic() + 10
            while holder_of(store()) is not None:
                assert time.monotonic() < deadline

    @only("postgresql")
    def test_75_when_the_database_is_down(self, place: Place) -> None:
        code, run = place.shop.run(SHOP_DATABASE="postgres://x@127.0.0.1:1/x")

        assert code == 75
        assert "CommandError: The database 'default' has no lock: " in run.err
        assert "Traceback" not in run.err

    @only("postgresql")
    def test_no_connection_remains_of_those_who_left(self, place: Place) -> None:
        place.start()
        for _time in range(3):
            with pytest.raises(Locked):
                WarmingLock(store()).__enter__()
        deadline = time.monotonic() + 10
        while sessions_of_runs() != 1:  # the server takes a moment to note that one has left
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_a_database_without_locks_is_refused(self, settings: Any, runs_in: Any) -> None:
        runs_in(ENGINE="django.db.backends.sqlite3", NAME=":memory:")
        settings.FRAGCACHE = {"LOCK": "database"}

        with pytest.raises(
            LockUnavailable,
            match=r"PostgreSQL, MySQL and MariaDB hold locks; .django\.db\.backends\.sqlite3. does "
            r"not\. Use .cache., or .file. where all runs are on one machine\.",
        ):
            WarmingLock(store()).__enter__()


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path, settings: Any) -> Path:
        path = tmp_path / "warm.lock"
        settings.FRAGCACHE = {"LOCK": f"file:{path}"}
        return path

    def test_one_who_looks_does_not_send_a_run_away(self, path: Path) -> None:
        path.touch()
        with path.open() as looking:
            fcntl.flock(looking, fcntl.LOCK_SH)
            timer = threading.Timer(0.03, fcntl.flock, [looking, fcntl.LOCK_UN])
            timer.start()
            with WarmingLock(store()):
                pass
            timer.join()

    def test_a_file_that_is_removed_and_made_anew_is_another_lock(self, path: Path) -> None:
        with WarmingLock(store()):
            path.unlink()
            with WarmingLock(store()), pytest.raises(Locked):
                WarmingLock(store()).__enter__()

    def test_a_file_that_is_removed_while_it_is_taken_is_no_lock(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flock = fcntl.flock

        def after_removal(descriptor: int, how: int) -> None:
            monkeypatch.setattr(fcntl, "flock", flock)
            path.unlink()
            flock(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", after_removal)
        with WarmingLock(store()), pytest.raises(Locked):
            WarmingLock(store()).__enter__()

    def test_a_file_that_says_nothing_names_nobody(self, path: Path) -> None:
        with path.open("w") as taken:
            fcntl.flock(taken, fcntl.LOCK_EX)
            with pytest.raises(Locked, match=r"^Another run holds the lock\.$"):
                WarmingLock(store()).__enter__()
            with pytest.raises(LockUnavailable, match="does not say who holds it"):
                holder_of(store())

    def test_a_link_is_not_followed(self, path: Path, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.write_text("text")
        path.symlink_to(precious)

        with pytest.raises(LockUnavailable, match=r"warm\.lock cannot be locked: "):
            WarmingLock(store()).__enter__()
        assert precious.read_text() == "text"

    def test_what_cannot_be_written_to_is_no_lock(self, path: Path) -> None:
        os.mkfifo(path)  # refuses the name of its holder, as a file does where the disk is full

        with pytest.raises(LockUnavailable, match=r"warm\.lock cannot be locked: Invalid arg"):
            WarmingLock(store()).__enter__()

    def test_75_and_a_remedy_where_there_is_no_folder(
        self,
        open_shop: Any,
        tmp_path: Path,
    ) -> None:
        shop = open_shop("embedded", str(tmp_path / "cache"))
        code, run = shop.run(SHOP_LOCK=f"file:{tmp_path}/none/warm.lock")

        assert code == 75
        assert run.err == (
            f"CommandError: {tmp_path}/none/warm.lock cannot be locked: No such file or "
            "directory. Run as the user who owns it, or name a file that may be written in "
            "FRAGCACHE['LOCK'], such as 'file:/run/site/warm.lock'.\n"
        )

    def test_its_name_is_of_the_cache(self, settings: Any) -> None:
        names = set()
        cache = settings.CACHES["embedded"]
        for changes in ({}, {"LOCATION": "/x"}, {"KEY_PREFIX": "x"}, {"VERSION": 2}):
            settings.CACHES = settings.CACHES | {"fragments": cache | changes}
            names.add(default_path(store("fragments")))
            assert default_path(store("fragments")) in names
        names.add(default_path(store("embedded")))

        assert len(names) == 5
        assert all(re.fullmatch(r"fragcache-warm-[0-9a-f]{16}\.lock", path.name) for path in names)

    def test_it_is_for_the_user_and_the_group(self, path: Path) -> None:
        former = os.umask(0)
        try:
            with WarmingLock(store()):
                assert path.stat().st_mode & 0o777 == 0o660
        finally:
            os.umask(former)

    def test_a_system_without_flock_says_so(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_lock, "fcntl", None)
        with pytest.raises(LockUnavailable, match=r"This system has no flock\(\)"):
            WarmingLock(store()).__enter__()
        path.touch()
        with pytest.raises(LockUnavailable, match=r"This system has no flock\(\)"):
            holder_of(store())


def sessions_of_runs() -> int:
    """Return how many connections PostgreSQL has of runs."""
    with connections[RUNS].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'fragcache warm_fragments' AND state IS NOT NULL"
        )
        [(number,)] = cursor.fetchall()
    return int(number)


@pytest.mark.parametrize("ending", [None, SystemExit(143)])
def test_a_cache_that_is_lost_does_not_change_how_a_run_ends(
    start_server: Any, settings: Any, ending: BaseException | None
) -> None:
    server = start_server("redis")
    alias = {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": server.address}
    settings.CACHES = {**settings.CACHES, "lost": alias}
    with pytest.raises(SystemExit) if ending else nullcontext(), WarmingLock(store("lost")):
        server.stop()
        if ending:
            raise ending


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        ({"host": "there", "pid": 7, "since": 1, "pid_space": "", "more": 1}, "process 7 on there"),
        ({"host": "there"}, r"^Another run holds the lock\.$"),
    ],
)
def test_a_lock_of_another_release_is_one(
    cache_alias: str, noted: dict[str, Any], said: str
) -> None:
    cache = store()
    holder = sealed_form(Holder.this_process(), pack_document(noted))
    assert not cache.add_many({lock_key("warm", cache.room): holder}, 60)
    with pytest.raises(Locked, match=said):
        WarmingLock(cache).__enter__()
