"""``FragcachePanel``: the fragments of a page in django-debug-toolbar."""

from __future__ import annotations

import html
import re
import sys
from typing import Any, NamedTuple

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.checks.registry import registry
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import AsyncClient, Client
from django.urls import include, path

from fragcache import Fragment
from fragcache.tracing import recording
from tests.fixtures import any_cache
from tests.library.models import Artist
from tests.pages import configure

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("toolbar")]
PANEL = "fragcache.contrib.debug_toolbar.FragcachePanel"


def shop(request: HttpRequest) -> HttpResponse:
    return render(request, "shop.html", {"artists": Artist.objects.order_by("pk")})


async def shop_later(request: HttpRequest) -> HttpResponse:
    return await sync_to_async(shop)(request)


urlpatterns = [path("shop/", shop), path("later/", shop_later)]


@pytest.fixture
def toolbar(
    settings: Any, monkeypatch: pytest.MonkeyPatch, cache_alias: str, templates: Any
) -> None:
    """The toolbar with the panel, on a site whose page shows a fragment with another in it."""
    templates(
        {
            "shop.html": "<html><body>{% load fragcache %}\n"
            "{% fragments 'library.album' artists %}\n"
            "{% fragment 'library.artist_card' artists.0 %}</body></html>",
            "album.html": "{% load fragcache %}{% fragment 'library.artist_card' artist %}",
        }
    )
    # Its own checks would remain, and go on warning of every site of the tests.
    monkeypatch.setattr(registry, "registered_checks", set(registry.registered_checks))
    settings.DEBUG = True
    settings.INSTALLED_APPS = [
        *settings.INSTALLED_APPS,
        "django.contrib.staticfiles",
        "debug_toolbar",
    ]
    settings.MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware"]
    settings.DEBUG_TOOLBAR_PANELS = [PANEL, "debug_toolbar.panels.cache.CachePanel"]
    settings.DEBUG_TOOLBAR_CONFIG = {
        "SHOW_TOOLBAR_CALLBACK": f"{__name__}.is_shown",
        "RENDER_PANELS": True,
    }
    toolbar = pytest.importorskip("debug_toolbar.toolbar").DebugToolbar
    monkeypatch.setattr(toolbar, "_panel_classes", None)
    monkeypatch.setattr(toolbar, "_urlpatterns", None)
    own = path("__debug__/", include("debug_toolbar.urls"))
    monkeypatch.setattr(sys.modules[__name__], "urlpatterns", [*urlpatterns, own])
    settings.ROOT_URLCONF = __name__


def is_shown(_request: HttpRequest) -> bool:
    return True


@pytest.fixture
def album(declare: Any, artist_card: Fragment) -> Fragment:
    """The outer fragment."""

    @declare("album.html", name="library.album", items=Artist.objects.all, version="updated_at")
    def album(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    fragment: Fragment = album
    return fragment


class Row(NamedTuple):
    """What the panel says of one call or instance."""

    name: str
    arguments: str
    outcome: str
    why: str
    position: str


class Shown(NamedTuple):
    """What a response shows of the panel."""

    content: str
    timing: str
    rows: list[Row]
    sums: list[str]


def shown(response: Any) -> Shown:
    assert response.status_code == 200
    text = response.content.decode()
    [content] = re.findall(
        r'id="FragcachePanel" class=.*?<div class="djdt-scroll".*?</div>', text, re.S
    )
    lines = [
        [html.unescape(re.sub(r"<[^>]*>", "", cell)).strip(" \n") for cell in cells]
        for line in re.findall(r"<tr.*?</tr>", content, re.S)
        if (cells := re.findall(r"<td.*?</td>", line, re.S))
    ]
    sums, *rows = lines
    picked = [Row(row[0], row[1], row[3], row[4], row[10]) for row in rows]
    return Shown(content, response.headers["Server-Timing"], picked, sums)


def test_a_cold_page_as_a_tree(album: Fragment, artists: list[Artist], client: Client) -> None:
    nina, ella = artists

    page = shown(client.get("/shop/"))

    def cold(name: str, artist: Artist, position: str = "") -> Row:
        return Row(name, f"pk={artist.pk}", "rendered", "cold", position)

    inner = "\u2003└ library.artist_card"
    assert page.rows == [
        Row("library.album", "", "0 of 2 hit", "", "shop.html, line 2"),
        cold("└ library.album", nina),
        cold(inner, nina, "album.html, line 1"),
        cold("└ library.album", ella),
        cold(inner, ella, "album.html, line 1"),
        Row("library.artist_card", f"pk={nina.pk}", "hit local", "", "shop.html, line 3"),
    ]
    instances, hits, local, misses, stale, renders, *_rest = page.sums
    assert (instances, hits, local, misses, stale, renders) == ("5", "1", "1", "4", "0", "4")


def test_a_warm_page_by_its_hits(album: Fragment, artists: list[Artist], client: Client) -> None:
    client.get("/shop/")

    page = shown(client.get("/shop/"))

    assert [row.outcome for row in page.rows] == ["2 of 2 hit"] + ["hit local"] * 3
    assert page.sums[:6] == ["3", "3", "3", "0", "0", "0"]
    assert '"3 hits, 0 misses, 0 round trips"' in page.timing
    assert "FragcachePanel_render;dur=0" in page.timing
    assert not recording.is_on


def test_the_panel_has_no_script_or_style_of_its_own(
    album: Fragment, artists: list[Artist], client: Client
) -> None:
    content = shown(client.get("/shop/")).content

    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", content)


def test_values_are_escaped(greeting: Fragment, templates: Any, client: Client) -> None:
    templates(
        {"shop.html": "<body>{% load fragcache %}{% fragment 'library.greeting' '<b>' %}</body>"}
    )

    assert "name=&#x27;&lt;b&gt;&#x27;" in shown(client.get("/shop/")).content


def test_an_async_page(album: Fragment, artists: list[Artist]) -> None:
    async def visit() -> Any:
        return await AsyncClient().get("/later/")

    page = shown(async_to_sync(visit)())

    assert page.sums[:6] == ["5", "1", "1", "4", "0", "4"]
    assert not recording.is_on


def test_a_page_without_a_cache_says_so(
    album: Fragment, artists: list[Artist], client: Client
) -> None:
    with configure(ENABLED=False):
        page = shown(client.get("/shop/"))

    assert {row.outcome for row in page.rows} == {"rendered alone"}
    assert "ENABLED" in page.content


def test_a_page_that_fails_ends_the_recording(client: Client) -> None:
    client.raise_request_exception = False

    assert client.get("/shop/").status_code == 500
    assert not recording.is_on
