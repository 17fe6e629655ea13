"""A target as a process of its own: without models, templates of the source, or a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fragcache import fragment, publish_context
from fragcache.store import store
from tests.discography.models import Record, Singer
from tests.fixtures import warm

ROOT = Path(__file__).resolve().parents[1]
SECRET_KEYS = ["what both sites have"]

PROGRAM = """
import json, sys
from django.conf import settings

given = json.load(sys.stdin)
settings.configure(
    INSTALLED_APPS=["fragcache"],
    DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}},
    CACHES={"fragments": given["cache"]},
    FRAGCACHE={"SECRET_KEYS": given["secret_keys"], "READ_ONLY": given["read_only"]},
    LANGUAGE_CODE="en-us", TIME_ZONE="UTC", USE_TZ=True,
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", given["templates"])]},
    }],
)
import django
django.setup()
from django.template.loader import render_to_string
from fragcache import FragmentMissing, fetch_context, get_fragment, remote_fragment

remote_fragment("discography.singer", "singer.html")
pks = fetch_context("discography.catalogue")["pks"]
context = fetch_context(given["key"])
try:
    fetch_context("discography.singer", 0)
except FragmentMissing as error:
    missing = str(error)
print(json.dumps({
    "page": render_to_string("page.html", {"pks": pks}),
    "again": [get_fragment("discography.singer", pk) for pk in pks],
    "price": repr(context["records"].first().price),
    "missing": missing,
    "known": sorted(name for name in sys.modules if name.startswith("tests")),
}))
"""


@pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
@pytest.mark.parametrize("read_only", [True, False], ids=["read only", "writing"])
@pytest.mark.django_db
def test_shows_what_the_source_has_published(
    cache_alias: str, read_only: bool, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FRAGCACHE = {"CACHE_ALIAS": cache_alias, "SECRET_KEYS": SECRET_KEYS}
    nina = Singer.objects.create(first_name="Nina", last_name="Simone")
    Record.objects.create(singer=nina, title="Pastel <Blues>", price=Decimal("19.90"))

    @fragment(name="discography.singer", items=Singer.objects.all, publish="context")
    def singer(singer: Singer) -> dict[str, Any]:
        return {"singer": singer, "records": singer.records.select_related("singer")}

    @fragment(name="discography.catalogue", publish="context")
    def catalogue() -> dict[str, Any]:
        return {"pks": list(Singer.objects.values_list("pk", flat=True))}

    warm(singer, catalogue)
    key = publish_context(singer, nina)
    given = {
        "cache": settings.CACHES[cache_alias],
        "secret_keys": SECRET_KEYS,
        "read_only": read_only,
        "key": key,
        "templates": {
            "page.html": (
                "{% load fragcache %}{% for pk in pks %}"
                "{% fragment 'discography.singer' pk %}{% endfor %}"
            ),
            "singer.html": (
                "{{ singer }}: {% for r in records.all %}{{ r.title }} {{ r.price }} "
                "{{ r.get_format_display }} {{ r.singer.first_name }}{% endfor %}"
            ),
        },
    }

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    said = json.loads(done.stdout)
    html = "Nina Simone: Pastel &lt;Blues&gt; 19.90 Long player Nina"
    assert (said["page"], said["again"]) == (html, [html])
    assert said["price"] == "Decimal('19.90')"
    assert said["missing"].startswith("No context of discography.singer(0) is in the cache")
    assert said["known"] == []
    assert store().alias == cache_alias
