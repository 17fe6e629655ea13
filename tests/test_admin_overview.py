"""The admin's overview of all fragments: what was counted, in what order, and for whom."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import time
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from fragcache import counters
from fragcache.counters import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.histograms import bucket_of
from fragcache.models import Counts, Outage
from fragcache.stats import answering, keeping
from fragcache.stats.keeping import packed
from fragcache.stats.ledger import accounts
from fragcache.store import store
from tests.admin_site import client_of, staff
from tests.fixtures import RoundTrips, any_cache

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias", "admin_site", "no_counts"),
]
HOUR = 3_600
ENGLISH, GERMAN = "language=s2:en", "language=s2:de"
#: 3 of 4 lookups are hits; a render takes 10 ms, a lookup 1 ms.
SHEET: dict[str, int] = {
    Event.HIT: 3_000,
    Miss.COLD: 600,
    Miss.NEW_VERSION: 400,
    Measure.LOOKUP_NS: 4_000 * 1_000_000,
    Event.RENDERED: 1_000,
    Measure.RENDER_US: 1_000 * 10_000,
    RENDER_BUCKET + str(bucket_of(10_000)): 1_000,
    AGE_BUCKET + str(bucket_of(60_000_000)): 100,
}


def count(name: str, axes: str = ENGLISH, *, ago: int = 0, **sheet: int) -> None:
    """Count something so many seconds ago, as a process of its own."""
    began = (int(time.time()) - ago) // 60 * 60
    rows = packed({(name, axes): sheet or SHEET})
    Counts.objects.create(began=began, seconds=60, process=f"{name} {axes} {ago}", sheets=rows)


def overview(query: str = "") -> str:
    return reverse("admin:fragcache_fragmentcache_changelist") + query


def fragment_page(name: str, query: str = "") -> str:
    return reverse("admin:fragcache_fragment", args=[name]) + query


def html(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def text(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def names(html: str) -> list[str]:
    return re.findall(r'role="rowheader"><a [^>]*>([^<]+)</a>', html)


def row(html: str, name: str) -> str:
    """Return the text of one row of the table."""
    [found] = [
        one for one in re.findall(r'<tr role="row">.*?</tr>', html, re.DOTALL) if f">{name}<" in one
    ]
    return text(found)


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


class TestAFragment:
    def test_is_shown_with_its_declaration_and_account(
        self, superuser: Client, artist_card: Any
    ) -> None:
        count("library.artist_card")
        shown = text(html(superuser, fragment_page("library.artist_card")))
        for said in (
            "Visitors wait less with it than without.",
            "Template artist_card.html Arguments artist Items library.Artist Version updated_at",
            "Timeout 24 h Rebuilt at the latest 7 d",
            "Hits 75.0 %, 0 of them in process memory Missed cold 600, new version 400",
            "language=en 4,000 75.0 % cold 600, new version 400 1,000",
        ):
            assert said in shown

    def test_a_chart_of_nothing_says_so(self, superuser: Client) -> None:
        count("a", **{Event.HIT: 40, Miss.COLD: 0, Miss.NEW_VERSION: 0})
        shown = html(superuser, fragment_page("a"))
        assert 'aria-label="Misses: none."' in shown
        assert shown.count('<li class="fc-none">none</li>') == 1

    def test_has_charts_and_their_numbers_as_a_table(self, superuser: Client) -> None:
        count("shop.price", ago=5 * HOUR, **{Event.HIT: 40})
        count("shop.price", ago=3 * HOUR, **{Event.HIT: 10, Miss.GUARD: 5})
        shown = html(superuser, fragment_page("shop.price", "?last=24h"))
        assert 'aria-label="50 hits in all, at most 40 at a time."' in shown
        assert 'aria-label="Misses: guard 5."' in shown
        [hits] = re.findall(r'<path class="fc-hit" d="([^"]+)"', shown)
        # 25 steps of 24 units; 40 of 50 leave a fifth of the height above, 10 of 50 four.
        tops = re.findall(r"M([\d.]+) 160h19.2V([\d.]+)", hits)
        assert [top for _x, top in tops] == ["32", "128"]
        assert float(tops[1][0]) - float(tops[0][0]) == pytest.approx(2 * 24)
        rows = re.findall(r"<tr><th scope=.row.>.*?</th>(.*?)</tr>", shown, re.DOTALL)
        cells = [text(row).split()[:3] for row in rows]
        assert [found for found in cells if found != ["0", "0", "0"]][:2] == [
            ["10", "5", "0"],
            ["40", "0", "0"],
        ]

    def test_one_that_is_not_declared_is_shown_as_far_as_it_was_counted(
        self, superuser: Client
    ) -> None:
        count("page.html|sidebar")
        shown = text(html(superuser, fragment_page("page.html|sidebar")))
        assert "This process does not know it" in shown
        assert "Warm it" not in shown  # nor could it be found

    def test_one_that_nobody_knows_is_not_found(self, superuser: Client) -> None:
        assert superuser.get(fragment_page("shop.prize")).status_code == 404

    def test_rarer_reasons_share_a_colour(self, superuser: Client) -> None:
        sheet: dict[str, int] = {reason: 20 - number for number, reason in enumerate(Miss)}
        count("shop.price", **sheet)
        shown = html(superuser, fragment_page("shop.price"))
        assert re.findall(r'<li class="fc-reason-(\d)">', shown) == list("123456")
        assert "other reasons 92." in shown


def test_its_html_holds_under_a_strict_policy(superuser: Client) -> None:
    """The browser's tests see that it does; this finds what they have not looked at."""
    count("shop.price")
    for page in (overview(), fragment_page("shop.price")):
        [own] = re.findall(r'<div id="content-main".*</main>', html(superuser, page), re.DOTALL)
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", own)


def test_what_processes_count_is_what_is_shown(superuser: Client) -> None:
    counters.count_many("shop.price", ENGLISH, {Event.HIT: 7})
    assert keeping.keeper.flush()
    assert "shop.price 7 100.0 %" in row(html(superuser, overview()), "shop.price")
