"""What a template switches around an include tells apart the blocks that the include has."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from fragcache.events import Event
from tests.block_pages import shown
from tests.fixtures import any_cache, happened

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]

SWITCHES = {
    "none": ("{% if True %}", "{% endif %}"),
    "localize off": ("{% localize off %}", "{% endlocalize %}"),
    "localtime off": ("{% localtime off %}", "{% endlocaltime %}"),
    "autoescape off": ("{% autoescape off %}", "{% endautoescape %}"),
    "time zone": ("{% timezone 'Asia/Tokyo' %}", "{% endtimezone %}"),
    "language": ("{% language 'de' %}", "{% endlanguage %}"),
}
EXPECTED = {
    "none": "1,234.5 13:00 &lt;b&gt;",
    "localize off": "1234.5 13:00 &lt;b&gt;",
    "localtime off": "1,234.5 12:00 &lt;b&gt;",
    "autoescape off": "1,234.5 13:00 <b>",
    "time zone": "1,234.5 21:00 &lt;b&gt;",
    "language": "1.234,5 13:00 &lt;b&gt;",
}
MOMENT = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)


def test_each_shows_its_own(templates: Any, settings: Any) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    block = "{% cache 60 x %}{{ n }} {{ moment|date:'H:i' }} {{ text }}{% endcache %}"
    templates({"part.html": "{% load fragcache %}" + block})
    for _again in range(2):
        with timezone.override("Europe/Berlin"):
            found = {
                name: shown(
                    f"{{% load l10n tz i18n %}}{before}{{% include 'part.html' %}}{after}",
                    n=1234.5,
                    moment=MOMENT,
                    text="<b>",
                )
                for name, (before, after) in SWITCHES.items()
            }
        assert found == EXPECTED
    assert happened(Event.STORED) == len(SWITCHES)
