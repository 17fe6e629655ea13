"""The admin's pages of recorded runs: to be read, by those who may, and changed by nobody."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import checks
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from fragcache.models import WarmBatch, WarmRun
from fragcache.store import store
from fragcache.warming.history import Locks, described
from fragcache.warming.locks import WarmingLock
from tests.admin_site import staff
from tests.fixtures import any_cache

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias", "admin_site"),
]
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.fixture
def run() -> WarmRun:
    counts = {
        "planned": 900,
        "fresh": 400,
        "rendered": 50,
        "stored": 30,
        "refused": 20,
        "failed": 7,
    }
    return WarmRun.objects.create(
        host="web1",
        pid=77,
        started_at=NOON,
        finished_at=NOON + dt.timedelta(seconds=12.5),
        status="failed",
        options={"labels": ["shop"]},
        fragments={"shop.price": counts | {"failed": 7}, "shop.tag": {"planned": 11}},
        problem="7 failed.",
    )


def url(page: str, *args: Any) -> str:
    return reverse(f"admin:fragcache_warmrun_{page}", args=args)


def cells(html: str) -> dict[str, str]:
    """Return the text of the first row's cells, by column."""
    found = re.findall(r'<t[dh] class="field-([a-z_]+)[^"]*">(.*?)</t[dh]>', html, re.DOTALL)
    return {column: re.sub(r"<[^>]+>", "", inner).strip() for column, inner in reversed(found)}


class TestList:
    def test_it_is_in_the_index(self, superuser: Client, run: WarmRun) -> None:
        html = superuser.get("/admin/").content.decode()
        assert "Fragment cache" in html
        assert f'href="{url("changelist")}"' in html

    def test_a_row_has_the_counts(self, superuser: Client, run: WarmRun) -> None:
        assert cells(superuser.get(url("changelist")).content.decode()) == {
            "started_at": "Nov. 21, 2026, noon",
            "seconds": "12.5",
            "host": "web1",
            "status": "failed",
            "planned": "911",
            "fresh": "400",
            "rendered": "50",
            "stored": "30",
            "refused": "20",
            "failed": "7",
        }

    def test_of_a_run_whose_process_is_gone_it_says_so(
        self, superuser: Client, run: WarmRun
    ) -> None:
        WarmRun.objects.update(status="running", finished_at=None)

        row = cells(superuser.get(url("changelist")).content.decode())
        assert (row["status"], row["seconds"]) == ("died", "-")
        assert "died" in superuser.get(url("change", run.pk)).content.decode()

    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("status__exact=failed", 1),
            ("status__exact=ok", 0),
            ("host=web1", 1),
            ("host=web2", 0),
            ("started_at__year=2026&started_at__month=11", 1),
            ("started_at__year=2025", 0),
        ],
    )
    def test_it_is_filtered_by_status_host_and_date(
        self, superuser: Client, run: WarmRun, query: str, shown: int
    ) -> None:
        answer = superuser.get(f"{url('changelist')}?{query}")
        assert (answer.status_code, answer.context["cl"].result_count) == (200, shown)


class TestLinks:
    """The rows of links above the list of runs and above each of them."""

    def test_they_lead_to_the_other_pages(self, superuser: Client, run: WarmRun) -> None:
        overview = reverse("admin:fragcache_fragmentcache_changelist")
        here = f'<a href="{url("changelist")}" aria-current="page">Warm runs</a>'
        listed = superuser.get(url("changelist")).content.decode()
        assert f'<a href="{overview}">Overview</a>' in listed
        assert here in listed
        shown = superuser.get(url("change", run.pk)).content.decode()
        assert f'<a href="{overview}">Overview</a>' in shown
        assert f'<a href="{url("changelist")}">Warm runs</a>' in shown

    def test_who_sees_no_other_page_has_none(self, run: WarmRun) -> None:
        html = staff("view_warmrun").get(url("changelist")).content.decode()
        assert "fc-links" not in html


class TestDocuments:
    @pytest.fixture(autouse=True)
    def another(self, run: WarmRun) -> None:
        WarmRun.objects.create(host="web2", pid=1, started_at=NOON, finished_at=NOON, status="ok")

    def test_json_has_what_the_command_prints_and_keeps_the_filter(
        self, superuser: Client, run: WarmRun
    ) -> None:
        listed = superuser.get(f"{url('changelist')}?status__exact=failed")
        assert "?status__exact=failed&amp;format=json" in listed.content.decode()
        document = superuser.get(f"{url('changelist')}?status__exact=failed&format=json").json()
        [row] = document["rows"]
        assert row == {"id": run.pk} | described(run, Locks())

    def test_csv_has_numbers(self, superuser: Client) -> None:
        answer = superuser.get(f"{url('changelist')}?format=csv")
        rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
        assert [row["host"] for row in rows] == ["web2", "web1"]
        assert (rows[1]["totals stored"], rows[1]["seconds"]) == ("30", "12.5")

    def test_they_are_for_those_who_may_view_runs(self) -> None:
        address = f"{url('changelist')}?format=json"
        assert staff("view_fragmentcache").get(address).status_code == 403
        assert staff("view_warmrun").get(address).status_code == 200
        assert Client().get(address).status_code == 302

    def test_a_filter_that_is_none_is_told(self, superuser: Client) -> None:
        answer = superuser.get(f"{url('changelist')}?format=json&started_at__year=x")
        assert (answer.status_code, answer.headers["Content-Type"][:10]) == (400, "text/plain")


class TestEnqueued:
    """A run that workers do, with a batch of two done."""

    @pytest.fixture
    def batches(self, run: WarmRun) -> WarmRun:
        WarmRun.objects.update(
            status="running", finished_at=None, batch_count=2, fragments={}, started_at=now()
        )
        counts = {"planned": 5, "stored": 4, "failed": 1}
        done = WarmBatch(run=run, number=1, fragment="shop.price", status="failed", counts=counts)
        WarmBatch.objects.bulk_create([done, WarmBatch(run=run, number=2, fragment="shop.tag")])
        return run

    def test_what_is_done_is_shown_with_its_counts(
        self, superuser: Client, batches: WarmRun
    ) -> None:
        WarmBatch.objects.filter(number=1).update(attempts=1)
        row = cells(superuser.get(url("changelist")).content.decode())
        assert (row["status"], row["planned"], row["stored"], row["failed"]) == (
            "running 1/2",
            "5",
            "4",
            "1",
        )
        html = superuser.get(url("change", batches.pk)).content.decode()
        assert "running 1/2" in html
        assert "shop.price: planned 5, fresh 0, rendered 0, stored 4" in html

    def test_one_that_no_worker_has_touched_is_enqueued(
        self, superuser: Client, batches: WarmRun
    ) -> None:
        row = cells(superuser.get(url("changelist")).content.decode())
        assert row["status"] == "enqueued 1/2"

    def test_its_batches_are_asked_for_once(self, superuser: Client, batches: WarmRun) -> None:
        superuser.get(url("changelist"))
        with CaptureQueriesContext(connection) as queries:
            superuser.get(url("changelist"))
        asked = [query for query in queries if "fragcache_warmbatch" in query["sql"]]
        assert len(asked) == 2, "one of them for problems"

    def test_who_may_delete_runs_deletes_their_batches(self, batches: WarmRun) -> None:
        client = staff("view_warmrun", "delete_warmrun")
        assert client.post(url("delete", batches.pk), {"post": "yes"}).status_code == 302
        assert not WarmBatch.objects.exists()


class TestLive:
    """What the pages of a run that goes on are told again and again."""

    @pytest.fixture
    def going_on(self, run: WarmRun) -> Iterator[WarmRun]:
        with WarmingLock(store()):
            WarmRun.objects.update(
                status="running",
                finished_at=None,
                started_at=now(),
                host=socket.gethostname(),
                pid=os.getpid(),
            )
            yield run

    def told(self, client: Client, *runs: object) -> Any:
        answer = client.get(url("progress"), {"run": list(map(str, runs))})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        assert "no-store" in answer.headers["Cache-Control"]
        return answer.json()["runs"]

    def test_of_a_run_that_goes_on_its_pages_name_the_parts_to_renew(
        self, superuser: Client, going_on: WarmRun
    ) -> None:
        marked = f'<span data-run="{going_on.pk}" data-part="%s" data-progress="{url("progress")}">'
        pages = {
            url("changelist"): ["status", "seconds", "planned", "stored", "failed"],
            url("change", going_on.pk): ["status", "fragments"],
        }
        for page, parts in pages.items():
            html = superuser.get(page).content.decode()
            assert [part for part in parts if marked % part not in html] == []
            assert "fragcache/runs.js" in html

    def test_it_is_told_as_the_pages_show_it(self, superuser: Client, going_on: WarmRun) -> None:
        told = self.told(superuser, going_on.pk)[str(going_on.pk)]
        assert told["is_running"]
        row = cells(superuser.get(url("changelist")).content.decode())
        parts = [part for part in row if part in told["texts"] and part != "seconds"]
        assert len(parts) == 7
        assert {part: told["texts"][part] for part in parts} == {part: row[part] for part in parts}
        WarmRun.objects.update(fragments={"shop.price": {"planned": 12, "stored": 9}})
        told = self.told(superuser, going_on.pk)[str(going_on.pk)]
        assert (told["texts"]["planned"], told["texts"]["stored"]) == ("12", "9")
        assert told["texts"]["fragments"] == "shop.price: planned 12, stored 9"

    def test_one_that_has_ended_is_told_so_and_not_marked(
        self, superuser: Client, run: WarmRun
    ) -> None:
        told = self.told(superuser, run.pk)[str(run.pk)]
        assert (told["is_running"], told["texts"]["status"]) == (False, "failed")
        for page in (url("changelist"), url("change", run.pk)):
            assert "data-run" not in superuser.get(page).content.decode()

    def test_what_is_no_run_is_left_out(self, superuser: Client, run: WarmRun) -> None:
        assert self.told(superuser, run.pk + 1, "x", "²", "9" * 30) == {}

    def test_who_may_not_view_runs_is_told_nothing(self, run: WarmRun) -> None:
        assert staff().get(url("progress"), {"run": run.pk}).status_code == 403
        assert Client().get(url("progress")).status_code == 302
        assert self.told(staff("view_warmrun"), run.pk)


class TestDetail:
    def test_it_shows_everything_and_no_field_to_change(
        self, superuser: Client, run: WarmRun
    ) -> None:
        html = superuser.get(url("change", run.pk)).content.decode()

        for shown in ("web1", "77", "shop.price", "labels", "7 failed.", "failed"):
            assert shown in html
        assert "12.5" in html
        assert "failed 7<br>shop.tag: planned 11<" in html
        assert "<textarea" not in html
        assert 'name="_save"' not in html
        assert 'name="host"' not in html


class TestPermissions:
    def test_nobody_adds(self, superuser: Client) -> None:
        assert superuser.get(url("add")).status_code == 403
        assert superuser.post(url("add"), {"host": "x"}).status_code == 403
        assert url("add") not in superuser.get("/admin/").content.decode()
        assert not WarmRun.objects.exists()

    def test_nobody_changes(self, superuser: Client, run: WarmRun) -> None:
        assert superuser.post(url("change", run.pk), {"host": "x"}).status_code == 403
        run.refresh_from_db()
        assert run.host == "web1"

    def test_staff_without_permission_see_nothing(self, run: WarmRun) -> None:
        client = staff()
        for page in (url("changelist"), url("change", run.pk), url("delete", run.pk)):
            assert client.get(page).status_code == 403
        assert url("changelist") not in client.get("/admin/").content.decode()

    def test_who_may_view_sees_and_does_not_delete(self, run: WarmRun) -> None:
        client = staff("view_warmrun", "add_warmrun", "change_warmrun")
        assert client.get(url("changelist")).status_code == 200
        assert client.get(url("change", run.pk)).status_code == 200
        for page in (url("add"), url("delete", run.pk)):
            assert client.post(page, {"post": "yes"}).status_code == 403
        assert WarmRun.objects.exists()

    def test_who_may_delete_deletes(self, run: WarmRun) -> None:
        client = staff("view_warmrun", "delete_warmrun")
        assert client.post(url("delete", run.pk), {"post": "yes"}).status_code == 302
        assert not WarmRun.objects.exists()

    def test_a_visitor_is_asked_to_log_in(self, run: WarmRun) -> None:
        answer = Client().get(url("changelist"))
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (
            302,
            "/admin/login/",
        )


def test_a_table_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    client = staff("view_warmrun")
    monkeypatch.setattr(WarmRun._meta, "db_table", "nowhere")
    answer = client.get(url("changelist"))
    assert answer.status_code == 503
    assert "`manage.py migrate fragcache` makes it." in answer.content.decode()


def test_checks_find_nothing_wrong_with_it() -> None:
    found = checks.run_checks()
    assert [message for message in found if "fragcache" in str(message.obj)] == []


def test_a_site_without_the_admin_does_not_import_it() -> None:
    script = (
        "import django, sys; from tests import settings as own; "
        # Which imports it itself.
        "others = {'simple_history', 'tests.chronicle'}; "
        "own.INSTALLED_APPS = [app for app in own.INSTALLED_APPS if app not in others]; "
        "django.setup(); print('django.contrib.admin' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout == "False\n"
