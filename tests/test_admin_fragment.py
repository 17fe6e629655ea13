"""The admin's page of one fragment: what is declared of it, what was counted, and when."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fragcache.events import Event, Miss
from tests.admin_counts import (
    HOUR,
    count,
    fragment_page,
    html,
    overview,
    text,
)
from tests.fixtures import any_cache

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias", "admin_site", "no_counts"),
]


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
        rows = re.findall(r"<tr><th scope=.row.>.*?</tr>", shown, re.DOTALL)
        cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row)[:3] for row in rows]
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

    def test_its_items_are_not_counted(
        self, superuser: Client, artist_card: Any, artists: Any
    ) -> None:
        with CaptureQueriesContext(connection) as queries:
            html(superuser, fragment_page("library.artist_card"))
        assert [one["sql"] for one in queries if "library_artist" in one["sql"]] == []

    def test_one_whose_items_cannot_be_listed_says_so(
        self, superuser: Client, declare: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def items() -> Any:
            raise LookupError("the shop is away")

        declare("x.html", name="shop.price", items=items)(lambda item: {})
        count("shop.price")
        shown = text(html(superuser, fragment_page("shop.price")))
        assert "LookupError: the shop is away" in shown
        assert "Lookups 4,000" in shown
        assert "The declaration of shop.price cannot be shown." in caplog.text

    def test_a_name_may_be_any_text(self, superuser: Client) -> None:
        """As those of Jinja2's blocks."""
        for name in ("two\nlines", "a?b#c%d", "/é/<b>"):
            count(name)
        links = re.findall(r'role="rowheader"><a href="([^"]*)"', html(superuser, overview()))
        titles = [superuser.get(unescape(link)).context["title"] for link in links]
        assert sorted(titles) == ["/é/<b>", "a?b#c%d", "two\nlines"]

    def test_of_thousands_of_axis_values_those_with_the_most_lookups_are_shown(
        self, superuser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fragcache.admin.fragment.AXES_SHOWN", 2)
        for number, axes in enumerate("bacd"):
            count("a", f"tenant=s1:{axes}", **{Event.HIT: 10 * number})
        shown = html(superuser, fragment_page("a"))
        assert "The 2 of 4 sets of axis values with the most lookups" in shown
        assert sorted(re.findall(r"tenant=(\w)", shown)) == ["c", "d"]
        document = superuser.get(fragment_page("a", "?format=json")).json()
        assert len(document["rows"]) == 4

    def test_one_of_which_nobody_can_tell_is_not_said_to_be_none(
        self, superuser: Client, settings: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "STATS": "process"}
        shown = text(html(superuser, fragment_page("page.html|sidebar")))
        assert "Nothing is known of what was counted." in shown

    def test_one_that_nobody_knows_is_not_found(self, superuser: Client) -> None:
        assert superuser.get(fragment_page("shop.prize")).status_code == 404

    def test_rarer_reasons_share_a_colour(self, superuser: Client) -> None:
        sheet: dict[str, int] = {reason: 20 - number for number, reason in enumerate(Miss)}
        count("shop.price", **sheet)
        shown = html(superuser, fragment_page("shop.price"))
        assert re.findall(r'<li class="fc-reason-(\d)">', shown) == list("123456")
        assert "other reasons 92." in shown
