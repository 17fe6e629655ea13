"""Promise T6: what one reader is shown never reaches another one, nor old code what new code made.

Every combination of language, time zone, site, scheme, host and kind, under an old release and a
new one side by side over one cache, is shown what it would be without a cache. What is new is the
code, the settings, or the formats of numbers.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from django.contrib.sites.models import Site
from django.test import RequestFactory, override_settings
from django.utils import timezone, translation
from django.utils.formats import reset_format_cache

from fragcache import get_fragment, registry
from fragcache.events import Event
from tests.fixtures import happened, in_request, warm
from tests.releases import Release, changed, deployed

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True),
]

CODE = """
import datetime
from django.contrib.sites.models import Site
from fragcache import absolute_uri, fragment

MOMENT = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.timezone.utc)
MARK = "old-context"

def context(kind):
    site = Site.objects.get_current()
    return {"moment": MOMENT, "number": 1234.5, "mark": MARK, "site": site.name,
            "address": absolute_uri("/"), "kind": kind}

options = {"vary_on": ["site", "scheme", "host"], "choices": {"kind": ["html", "text"]}}

@fragment("page.html", name="shop.by_version", version=lambda kind: 1, **options)
def by_version(kind="html"):
    return context(kind)

@fragment("page.html", name="shop.by_head", **options)
def by_head(kind="html"):
    return context(kind)
"""

TAGS = """
from django import template
register = template.Library()

@register.simple_tag
def mark():
    return "old-tag"
"""

PAGE = (
    "{% load i18n shop_tags %}{% get_current_language as language %}old-template {% mark %} "
    "{{ mark }} {{ kind }} {{ language }} {{ moment|date:'H:i' }} {{ site }} {{ address }} "
    "{{ number }}"
)

OLD = Release(
    templates={"page.html": PAGE},
    code=CODE,
    tags=TAGS,
    settings={"USE_THOUSAND_SEPARATOR": False},
)
NEW = {
    "template": changed(OLD, "page.html", "old-template", "new-template"),
    "tag": changed(OLD, "tags", "old-tag", "new-tag"),
    "context function": changed(OLD, "code", "old-context", "new-context"),
    "settings": replace(OLD, settings={"USE_THOUSAND_SEPARATOR": True}),
    "formats": replace(OLD, settings={**OLD.settings, "FORMAT_MODULE_PATH": "tests.formats"}),
}


class Reader(NamedTuple):
    """Who asks for a page, and for what."""

    language: str
    zone: str
    scheme: str
    host: str
    kind: str
    name: str


HOURS = {"UTC": "12:00", "Asia/Tokyo": "21:00", "Europe/Berlin": "13:00"}
NUMBERS = {"en": "1,234.5", "de": "1.234,5"}
HOSTS = ["one.example", "two.example"]
NAMES = ["shop.by_version", "shop.by_head"]
READERS = [
    Reader(*values)
    for values in itertools.product(
        NUMBERS, HOURS, ["http", "https"], HOSTS, ["html", "text"], NAMES
    )
]
SITES = {1: "one.example", 2: "two.example"}


@pytest.fixture(autouse=True)
def sites(cache_alias: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = HOSTS
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    for pk, domain in SITES.items():
        Site.objects.update_or_create(pk=pk, defaults={"domain": domain, "name": domain})
    Site.objects.clear_cache()


@pytest.mark.parametrize("part", NEW)
def test_each_reader_is_shown_their_own(cache_alias: str, part: str) -> None:
    lot = random.Random(part)
    before = happened(Event.RENDERED)
    for number, (release, site) in enumerate(
        [(release, site) for _twice in range(2) for release in (OLD, NEW[part]) for site in SITES]
    ):
        if number == 4:  # everything has been shown once
            rendered = happened(Event.RENDERED) - before
        with running(release), override_settings(SITE_ID=site):
            for reader in lot.sample(READERS, len(READERS)):
                assert shown_to(reader) == expected(reader, release, SITES[site])

    assert rendered == 2 * len(SITES) * len(READERS) == 384
    assert happened(Event.RENDERED) - before == rendered, "the second time, nothing is rendered"


@pytest.mark.parametrize("part", NEW)
def test_what_runs_of_both_releases_have_warmed(cache_alias: str, part: str) -> None:
    for release in (OLD, NEW[part], OLD):
        with running(release):
            warm(registry.get("shop.by_version"), registry.get("shop.by_head"))
    before = happened(Event.RENDERED)

    for release, site in itertools.product((NEW[part], OLD), SITES):
        with running(release), override_settings(SITE_ID=site):
            for reader in READERS:
                if reader.zone == "UTC":  # the one that is warmed
                    assert shown_to(reader) == expected(reader, release, SITES[site])
    assert happened(Event.RENDERED) == before


@contextmanager
def running(release: Release) -> Iterator[None]:
    """Run a release, which has read its formats once."""
    reset_format_cache()
    with deployed(release):
        yield
    reset_format_cache()


def shown_to(reader: Reader) -> str:
    is_secure, headers = reader.scheme == "https", {"host": reader.host}
    request = RequestFactory().get("/", secure=is_secure, headers=headers)
    with in_request(), translation.override(reader.language), timezone.override(reader.zone):
        return str(get_fragment(reader.name, reader.kind, request=request))


def expected(reader: Reader, release: Release, site: str) -> str:
    number = NUMBERS[reader.language]
    if not release.settings["USE_THOUSAND_SEPARATOR"]:
        number = number.replace("1,234", "1234").replace("1.234", "1234")
    if release is NEW["formats"] and reader.language == "de":
        number = number.replace(",", ";")
    marks = {
        "template": "new-template" if release is NEW["template"] else "old-template",
        "tag": "new-tag" if release is NEW["tag"] else "old-tag",
        "context": "new-context" if release is NEW["context function"] else "old-context",
    }
    address = f"{reader.scheme}://{reader.host}/"
    known = (reader.kind, reader.language, HOURS[reader.zone], site, address, number)
    return " ".join([*marks.values(), *known])
