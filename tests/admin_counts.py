"""Counts that tests make up, and the admin's pages of them."""

from __future__ import annotations

import re
import time
from html import unescape

from django.test import Client
from django.urls import reverse

from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.histograms import bucket_of
from fragcache.models import Counts
from fragcache.stats.keeping import packed

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
