"""The admin's overview of all fragments: what was counted, in what order, and for whom."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from fragcache import counters
from fragcache.events import Event, Measure, Miss
from fragcache.models import Counts, Outage
from fragcache.stats import answering, keeping
from fragcache.stats.keeping import packed
from fragcache.stats.ledger import accounts
from fragcache.store import store
from tests.admin_counts import (
    ENGLISH,
    GERMAN,
    HOUR,
    SHEET,
    count,
    fragment_page,
    html,
    names,
    overview,
    row,
    text,
)
from tests.admin_site import client_of, staff
from tests.fixtures import RoundTrips, any_cache

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias", "admin_site", "no_counts"),
]


class TestTheTable:
    def test_has_what_was_counted_and_what_is_declared(
        self, superuser: Client, greeting: Any
    ) -> None:
        count("shop.price")
        count("shop.price", GERMAN)
        shown = html(superuser, overview())
        times = "9.22 ms · 9.22 ms 62.9 s · 62.9 s"
        assert row(shown, "shop.price").strip() == (
            f"shop.price 8,000 75.0 % 2,000 {times} 0 52 s earns its place"
        )
        assert "greeting.html" in row(shown, "library.greeting")
        assert "nothing counted" in row(shown, "library.greeting")
        assert 'href="/admin/fragcache/fragmentcache/fragment/shop.price/?last=1h"' in shown

    def test_reads_what_was_counted_once(self, superuser: Client) -> None:
        count("a")
        with CaptureQueriesContext(connection) as queries:
            html(superuser, overview())
        assert sum('FROM "fragcache_counts"' in query["sql"] for query in queries) == 1

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("", "dear small none"),
            ("-saved", "dear small none"),
            ("saved", "small dear none"),
            ("name", "dear none small"),
            ("-name", "small none dear"),
            ("lookups", "none small dear"),
            ("-hits", "small dear none"),
        ],
    )
    def test_is_sorted_by_the_column_that_is_asked_for(
        self, superuser: Client, sort: str, order: str
    ) -> None:
        count("dear")
        count("small", **{**SHEET, Event.HIT: 30, Miss.COLD: 1, Miss.NEW_VERSION: 0})
        count("none", **{Measure.ERRORS: 1})
        shown = html(superuser, overview(f"?sort={sort}"))
        assert names(shown) == order.split()
        assert shown.count("aria-sort") == 1

    def test_heads_turn_the_order_round(self, superuser: Client) -> None:
        count("a")
        shown = html(superuser, overview("?last=24h"))
        assert 'aria-sort="descending"><a href="?last=24h&amp;sort=saved"' in shown
        assert '<a href="?last=24h&amp;sort=-lookups"' in shown
        assert '<a href="?last=24h&amp;sort=name"' in shown

    def test_has_a_trend_of_misses_with_hits_upon_them(self, superuser: Client) -> None:
        count("a", ago=1_800, **{Event.HIT: 30, Miss.COLD: 10})
        shown = html(superuser, overview())
        assert 'aria-label="30 hits, 10 misses; at most 40 in one step"' in shown
        bars = dict(re.findall(r'<path class="fc-(hit|miss)" d="M[\d.]+ ([^"]+)"', shown))
        assert {kind: re.sub(r"h-?[\d.]+", " ", bar) for kind, bar in bars.items()} == {
            "miss": "160 V120 z",
            "hit": "120 V0 z",
        }

    def test_the_filter_keeps_the_order(self, superuser: Client) -> None:
        count("a")
        shown = html(superuser, overview("?sort=-hits"))
        assert '<input type="hidden" name="sort" value="-hits">' in shown
        assert 'name="sort"' not in html(superuser, overview())

    def test_is_filtered_by_name(self, superuser: Client) -> None:
        count("shop.price")
        count("blog.card")
        assert names(html(superuser, overview("?q=PRICE"))) == ["shop.price"]
        shown = html(superuser, overview("?q=%3Cb%3E"))
        assert "No fragment's name contains “<b>”" in text(shown)
        assert "<b>" not in shown

    @pytest.mark.parametrize(
        ("last", "found"),
        [("1h", ["now"]), ("24h", ["now", "today"]), ("7d", ["now", "then", "today"])],
    )
    def test_is_of_the_time_looked_at(self, superuser: Client, last: str, found: list[str]) -> None:
        count("now")
        count("today", ago=5 * HOUR)
        count("then", ago=50 * HOUR)
        assert names(html(superuser, overview(f"?last={last}&sort=name"))) == found

    def test_has_pages(self, superuser: Client) -> None:
        sheets = packed({(f"f{number:03}", ""): SHEET for number in range(130)})
        Counts.objects.create(began=time.time() // 60 * 60, seconds=60, process="p", sheets=sheets)
        first = html(superuser, overview("?sort=name"))
        second = html(superuser, overview("?sort=name&page=2"))
        assert (len(names(first)), names(second)[0], len(names(second))) == (100, "f100", 30)
        assert '<a rel="next" href="?sort=name&amp;page=2">' in first
        beyond = html(superuser, overview("?sort=name&page=9"))
        assert '<a rel="prev" href="?sort=name&amp;page=1">' in beyond

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("last=2h", "last='2h': it must be one of 1h, 24h, 7d.\n"),
            ("format=xml", "format='xml': it must be one of html, json, csv.\n"),
        ],
    )
    def test_says_what_may_be_asked(self, superuser: Client, query: str, said: str) -> None:
        answer = superuser.get(overview(f"?{query}"))
        assert (answer.status_code, answer.content.decode()) == (400, said)


class TestCards:
    def test_are_of_all_fragments_together(self, superuser: Client) -> None:
        count("a")
        count("b", **{Event.HIT: 1_000, Measure.ERRORS: 3, Event.STALE_SERVED: 2})
        count("", "", **{Event.CACHE_ERROR: 4})
        shown = text(html(superuser, overview()))
        assert "Hit ratio 80.0 % 5,000 lookups 2 of the misses" in shown
        assert "Errors 7 in templates and context functions: 3 of caches: 4" in shown
        assert "Served age 62.9 s at most" in shown
        assert "Guards all closed embedded: answers in" in shown

    def test_tell_of_open_guards(self, superuser: Client) -> None:
        from django.utils.timezone import now

        Outage.objects.create(
            alias="embedded", purpose="reading", host="web1", pid=7, began_at=now(), seen_at=now()
        )
        shown = text(html(superuser, overview()))
        assert "Guards 1 open embedded: answers in" in shown
        assert re.search(r"embedded: open for reading since \w+ \d+, .*, in 1 process ", shown)

    def test_tell_of_this_process_where_nothing_is_recorded(self, superuser: Client) -> None:
        store().reads.open_since = dt.datetime.now(dt.UTC)
        try:
            assert "Guards 1 open" in text(html(superuser, overview()))
        finally:
            store().reads.open_since = None

    def test_ask_the_cache_once_and_for_no_list_of_keys(
        self, superuser: Client, trips: RoundTrips
    ) -> None:
        answering._questions.clear()  # those of other tests, whose answers are repeated
        html(superuser, overview())
        assert [(trip.command, len(trip.keys)) for trip in trips] == [("get_many", 1)]


class TestWithoutCounts:
    def test_it_says_why_they_are_not_to_be_had(
        self, superuser: Client, settings: Any, greeting: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "STATS": "process"}
        shown = html(superuser, overview())
        assert "Set it to 'database' to keep those of all." in text(shown)
        assert names(shown) == ["library.greeting"]
        assert "each process" in text(html(superuser, fragment_page("library.greeting")))

    def test_it_says_what_to_do_where_nothing_was_counted(
        self, superuser: Client, greeting: Any
    ) -> None:
        assert "Nothing was counted in the last hour." in text(html(superuser, overview()))

    def test_it_says_what_to_do_where_nothing_is_declared(self, superuser: Client) -> None:
        assert "No fragment is declared, and none was counted." in text(html(superuser, overview()))


class TestDocuments:
    def test_json_has_the_numbers_of_the_ledger(self, superuser: Client) -> None:
        count("shop.price")
        document = superuser.get(overview("?format=json")).json()
        [account] = accounts(HOUR)
        [row] = document["rows"]
        assert (document["format"], document["seconds"], document["problem"]) == (1, HOUR, "")
        assert (row["name"], row["hits"], row["verdict"]) == (
            "shop.price",
            3_000,
            "earns its place",
        )
        assert row["saved_per_hour"] == pytest.approx(account.saved_per_hour)
        assert (row["misses"]["cold"], row["misses"]["guard"]) == (600, 0)

    def test_csv_has_the_same_and_no_formulas(self, superuser: Client) -> None:
        count("shop.price", "=cmd()")
        answer = superuser.get(fragment_page("shop.price", "?format=csv"))
        [row] = csv.DictReader(io.StringIO(answer.content.decode()))
        assert answer["Content-Disposition"] == (
            'attachment; filename="fragcache-shop.price-axes.csv"'
        )
        assert (row["axes"], row["hits"], row["misses new version"]) == ("'=cmd()", "3000", "400")

    def test_each_step_of_a_fragment_is_a_row(self, superuser: Client) -> None:
        count("shop.price", ago=120)
        count("shop.price", GERMAN, ago=120)
        count("shop.price", ago=600)
        query = "?table=steps&format=json"
        rows = superuser.get(fragment_page("shop.price", query)).json()["rows"]
        assert len(rows) == 61
        assert [row["hits"] for row in rows if row["hits"]] == [3_000, 6_000]
        assert {row["seconds"] for row in rows} == {60}


class TestTheLanguage:
    def test_numbers_are_those_of_the_reader_but_not_in_drawings(
        self, superuser: Client, settings: Any
    ) -> None:
        settings.LANGUAGE_CODE = "de"
        settings.USE_THOUSAND_SEPARATOR = True
        count("shop.price")
        shown = html(superuser, fragment_page("shop.price", "?last=24h"))
        assert "75,0 %, 0 of them" in text(shown)
        assert "4.000" in text(shown)
        numbers = " ".join(re.findall(r' (?:d|x|width|viewBox|value)="([^"]*)"', shown))
        assert "M" in numbers
        assert "," not in numbers


class TestPermissions:
    PAGES = (
        "",
        "?format=json",
        "?format=csv",
        "fragment/shop.price/",
        "fragment/shop.price/?format=csv",
    )

    def test_a_visitor_is_asked_to_log_in(self) -> None:
        count("shop.price")
        for page in self.PAGES:
            answer = Client().get(overview() + page)
            assert answer.status_code == 302
            assert answer["Location"].startswith("/admin/login/?next=")

    def test_staff_without_the_permission_see_nothing(self) -> None:
        count("shop.price")
        client = staff("view_warmrun", "warm_fragments", "clear_fragments")
        assert {client.get(overview() + page).status_code for page in self.PAGES} == {403}
        assert overview() not in client.get("/admin/").content.decode()

    def test_who_may_view_sees_it_and_no_cache_keeps_it(self) -> None:
        count("shop.price")
        client = staff("view_fragmentcache")
        assert overview() in client.get("/admin/").content.decode()
        for page in self.PAGES:
            answer = client.get(overview() + page)
            assert answer.status_code == 200
            assert "no-store" in answer["Cache-Control"]
        assert "Warm runs" not in client.get(overview()).content.decode()

    @pytest.mark.parametrize(
        ("permissions", "links"),
        [
            (
                ("clear_fragments", "view_warmrun", "view_fragmentcache"),
                ["Overview", "Instance", "Servers", "Warm runs", "Clear all"],
            ),
            (("clear_fragments", "view_warmrun"), ["Warm runs", "Clear all"]),
        ],
    )
    def test_links_lead_to_what_one_may_see_and_last_to_what_one_may_do(
        self, permissions: tuple[str, ...], links: list[str]
    ) -> None:
        client = staff(*permissions)
        shown = html(client, reverse("admin:fragcache_clear"))
        navigation = re.search(r'<nav class="fc-links".*?</nav>', shown, re.DOTALL)
        assert navigation
        assert re.findall(r">([^<]+)</a>", navigation[0]) == links
        for address in re.findall(r'href="(/admin/fragcache/[^"]*)"', shown):
            assert client.get(address).status_code == 200

    def test_no_page_is_in_a_transaction_of_its_request(self) -> None:
        from fragcache.admin.pages import PAGES

        for name in ("fragmentcache_changelist", *(page.name for page in PAGES)):
            args = ["x"] if name == "fragment" else []
            view = resolve(reverse(f"admin:fragcache_{name}", args=args)).func
            assert "default" in view._non_atomic_requests

    def test_who_is_no_staff_is_asked_to_log_in(self) -> None:
        reader = User.objects.create_user("reader")
        assert client_of(reader).get(overview()).status_code == 302

    def test_there_are_no_pages_of_rows(self, superuser: Client) -> None:
        for page in ("add/", "1/change/", "1/delete/", "1/history/", "1/"):
            assert superuser.get(overview() + page).status_code == 404


def test_its_html_holds_under_a_strict_policy(superuser: Client) -> None:
    """The browser's tests see that it does; this finds what they have not looked at."""
    count("shop.price")
    for page in (overview(), fragment_page("shop.price")):
        [own] = re.findall(r'<div id="content-main".*</main>', html(superuser, page), re.DOTALL)
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", own)


def test_what_rounds_to_nothing_has_no_sign() -> None:
    from fragcache.admin import wording  # late, as the admin is not installed before

    assert [wording.duration(one) for one in (-1e-8, -4e-6, 0.0)] == ["0 µs", "-4 µs", "0 µs"]


def test_what_processes_count_is_what_is_shown(superuser: Client) -> None:
    counters.count_many("shop.price", ENGLISH, {Event.HIT: 7})
    assert keeping.keeper.flush()
    assert "shop.price 7 100.0 %" in row(html(superuser, overview()), "shop.price")
