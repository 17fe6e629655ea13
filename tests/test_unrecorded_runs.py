"""No run fails because it cannot be recorded, and none is kept from its work by it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction

from fragcache.models import WarmRun
from fragcache.warming import recording
from tests.fixtures import any_cache
from tests.library.models import Artist
from tests.recorded_runs import RUNS, Hooks, Router, the_run, warm, warnings

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
REMEDY = "If the table is missing, `manage.py migrate fragcache` makes it."
SQLITE = "django.db.backends.sqlite3"


class TestUnwritable:
    """The run succeeds, one line warns, and the site's transactions are whole."""

    @pytest.fixture(autouse=True)
    def all_is_warm_and_one_line_warns(
        self, hooks: Hooks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        monkeypatch.setattr(recording, "INTERVAL", 0)
        yield
        [line] = [record.getMessage() for record in caplog.get_records("call")]
        assert line.endswith(REMEDY)
        assert "\n" not in line
        assert Artist.objects.count() == 0

    def test_the_table_is_missing(self, caplog: pytest.LogCaptureFixture) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE fragcache_warmbatch")
            cursor.execute("DROP TABLE fragcache_warmrun")

        assert warm("--batch-size", "1") == 0
        assert "fragcache_warmrun" in warnings(caplog)[0]
        assert Artist.objects.count() == 0

    def test_the_table_goes_away_meanwhile(self, hooks: Hooks) -> None:
        def drop() -> None:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE fragcache_warmbatch")
                cursor.execute("DROP TABLE fragcache_warmrun")

        hooks[2] = drop
        assert warm("--batch-size", "1") == 0

    @pytest.mark.parametrize("name", ["empty.sqlite3", "no/such/folder.sqlite3"])
    def test_another_database_without_it(self, runs_in: Any, tmp_path: Path, name: str) -> None:
        runs_in(ENGINE=SQLITE, NAME=str(tmp_path / name))

        assert warm("--batch-size", "1") == 0

    def test_a_database_that_may_only_be_read(
        self, runs_in: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "runs.sqlite3"
        runs_in(ENGINE=SQLITE, NAME=str(path))
        with connections[RUNS].schema_editor() as editor:
            editor.create_model(WarmRun)
        connections[RUNS].close()
        del connections[RUNS]
        runs_in(ENGINE=SQLITE, NAME=f"file:{path}?mode=ro", OPTIONS={"uri": True})

        assert warm("--batch-size", "1") == 0
        assert "readonly" in warnings(caplog)[0]

    def test_a_server_that_does_not_answer(self, runs_in: Any) -> None:
        pytest.importorskip("psycopg2")
        runs_in(ENGINE="django.db.backends.postgresql", HOST="127.0.0.1", PORT="1", NAME="x")

        assert warm() == 0

    def test_an_alias_that_is_none(self, settings: Any) -> None:
        settings.DATABASE_ROUTERS = [f"{Router.__module__}.Router"]

        assert warm() == 0

    def test_a_router_that_raises(self, settings: Any) -> None:
        settings.DATABASE_ROUTERS = [f"{Router.__module__}.BrokenRouter"]

        assert warm() == 0


def test_a_site_without_any_database_has_nothing_to_be_warned_of(
    hooks: Hooks, runs_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runs_in(ENGINE="django.db.backends.dummy", NAME="")

    assert warm() == 0
    assert warnings(caplog) == []


@pytest.mark.django_db(transaction=True)
class TestMeanwhile:
    def in_another_connection(self) -> WarmRun:
        """Return the run as another process sees it."""

        def read() -> WarmRun:
            try:
                return the_run()
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as other:
            return other.submit(read).result()

    @pytest.mark.server("postgresql")
    def test_others_see_the_counts_grow(
        self, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording, "INTERVAL", 0)
        seen = []
        for number in (1, 3):
            hooks[number] = lambda: seen.append(self.in_another_connection())
        warm("--batch-size", "1")

        assert [(run.status, run.finished_at, run.total("stored")) for run in seen] == [
            ("running", None, 0),
            ("running", None, 2),
        ]
        assert (the_run().status, the_run().total("stored")) == ("ok", 4)

    def test_a_short_run_writes_its_begin_and_its_end(
        self, hooks: Hooks, django_assert_max_num_queries: Any
    ) -> None:
        assert recording.INTERVAL == 5
        with django_assert_max_num_queries(100) as queries:
            warm("--batch-size", "1")

        written = [
            query["sql"].partition(" ")[0]
            for query in queries.captured_queries
            if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))
        ]
        assert written == ["INSERT", "UPDATE"]

    def test_a_transaction_around_the_items_is_not_written_in(
        self, declare: Any, templates: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording, "INTERVAL", 0)
        templates({"n.html": "{{ n }}"})
        walked = []

        def items() -> Iterator[int]:
            with transaction.atomic():
                for number in range(4):
                    yield number
                    walked.append(the_run().fragments)

        @declare("n.html", name="shop.tag", items=items, version=lambda n: 1)
        def tag(n: int) -> dict[str, Any]:
            return {"n": n}

        assert warm("--batch-size", "1") == 0
        assert walked == [{}] * 4
        assert (the_run().status, the_run().total("stored")) == ("ok", 4)

    @pytest.mark.server("postgresql")
    @pytest.mark.parametrize("interval", [0, 5])
    def test_a_run_outlives_a_restart_of_the_database(
        self, hooks: Hooks, monkeypatch: pytest.MonkeyPatch, interval: float
    ) -> None:
        monkeypatch.setattr(recording, "INTERVAL", interval)

        def end_connection() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                [pid] = cursor.fetchone()

            def terminate() -> None:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                connection.close()

            with ThreadPoolExecutor(1) as other:
                other.submit(terminate).result()

        hooks[2] = end_connection
        assert warm("--batch-size", "1") == 0
        assert (the_run().status, the_run().total("stored")) == ("ok", 4)
