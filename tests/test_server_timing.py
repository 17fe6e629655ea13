"""``ServerTimingMiddleware``: the browser's own tools see what fragments cost."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import AsyncClient, Client
from django.urls import path

from fragcache.middleware import ServerTimingMiddleware
from fragcache.tracing import recording
from tests.fixtures import any_cache
from tests.library.models import Artist

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.without_local_cache]


def shop(request: HttpRequest) -> HttpResponse:
    response = render(request, "shop.html", {"artists": Artist.objects.order_by("pk")})
    response["Server-Timing"] = "view;dur=5"
    return response


async def shop_later(request: HttpRequest) -> HttpResponse:
    return await sync_to_async(shop)(request)


urlpatterns = [path("shop/", shop), path("later/", shop_later)]


class ForAll(ServerTimingMiddleware):
    """A site that shows timings to everybody."""

    def is_shown_to(self, request: HttpRequest) -> bool:
        return True


class StaffTiming(ServerTimingMiddleware):
    """As docs/seeing.md has it: who asks is read from the database."""

    def is_shown_to(self, request: HttpRequest) -> bool:
        return request.user.is_staff


@pytest.fixture(autouse=True)
def site(settings: Any, templates: Any, cache_alias: str, artist_card: Any, artists: Any) -> None:
    templates({"shop.html": "{% load fragcache %}{% fragments 'library.artist_card' artists %}"})
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.ForAll"]


def test_hits_renders_and_round_trips(client: Client) -> None:
    cold, warm = (client.get("/shop/").headers["Server-Timing"] for _visit in range(2))

    assert re.fullmatch(
        r'view;dur=5, fragcache;dur=[\d.]+;desc="2 hits, 0 renders, 1 round trip", '
        r'fragcache_cache;dur=[\d.]+;desc="waiting for caches", '
        r'fragcache_render;dur=0.00;desc="rendering fragments"',
        warm,
    )
    assert '"0 hits, 2 renders, ' in cold


def test_an_async_page() -> None:
    async def visit() -> Any:
        return await AsyncClient().get("/later/")

    assert '"0 hits, 2 renders, ' in async_to_sync(visit)().headers["Server-Timing"]
    assert not recording.is_on


@pytest.mark.parametrize("debug", [True, False])
def test_visitors_see_it_in_debug_alone(settings: Any, client: Client, debug: bool) -> None:
    settings.MIDDLEWARE = ["fragcache.middleware.ServerTimingMiddleware"]
    settings.DEBUG = debug

    assert ("fragcache" in client.get("/shop/").headers["Server-Timing"]) == debug


@pytest.mark.parametrize("is_staff", [True, False])
def test_a_subclass_may_read_who_asks_under_asgi_too(settings: Any, is_staff: bool) -> None:
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{__name__}.StaffTiming",
    ]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = AsyncClient()
    client.force_login(User.objects.create_user("clerk", is_staff=is_staff))

    async def visit() -> Any:
        return await client.get("/later/")

    assert ("fragcache" in async_to_sync(visit)().headers["Server-Timing"]) is is_staff
