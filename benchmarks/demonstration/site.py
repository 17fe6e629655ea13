"""Its source, which stores a context and answers with the key, and its target, which asks."""

from __future__ import annotations

import os
import uuid
from functools import cache

import httpx
from common.page_cost import count_request
from django.core.cache import caches
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from musics.models import Album


def music_context(request: HttpRequest) -> JsonResponse:
    """Build a context and store it, pickled, under a key that nobody had before."""
    albums = Album.objects.annotate(
        track_count=Count("tracks"), milliseconds=Sum("tracks__milliseconds")
    ).order_by("artist__name", "artist", "title", "pk")
    if request.GET.get("joined"):
        albums = albums.select_related("artist")
    key = str(uuid.uuid4())
    caches["pickled"].set(key, {"albums": albums})
    return JsonResponse({"key": key})


def musics(request: HttpRequest) -> HttpResponse:
    """Ask for a key, and show what is under it."""
    key = client().get("/api/", params=request.GET.dict()).json()["key"]
    return render(request, "demonstration/musics.html", caches["pickled"].get(key))


@cache
def client() -> httpx.Client:
    """Return one client for the process, more than the demonstration had."""
    return httpx.Client(
        base_url=os.environ["DEMO_SOURCE_URL"],
        trust_env=False,
        event_hooks={"request": [count_request]},
    )


urlpatterns = [path("api/", music_context), path("musics/", musics)]
