"""What both suites claim: fragments are stored, found and invalidated as in production."""

from __future__ import annotations

import os
from typing import Any

from django.test import Client

from fragcache import get_fragment, invalidate
from fragcache.testing import assert_fragment_sound
from tests.press.fragments import renders
from tests.press.models import Article

#: What ``override_fragcache`` is given: nothing, or the alias of a server.
SETTINGS: dict[str, Any] = {"CACHE_ALIAS": "server"} if "PRESS_SERVER" in os.environ else {}


def begins_empty_is_stored_and_found() -> None:
    """Each test is the first: nothing of the others is found."""
    renders.clear()
    article = Article.objects.create(title="News")
    for _time in range(2):
        assert get_fragment("press.article_card", article) == "<h2>News</h2>"
        assert get_fragment("press.titles") == "News"
    assert renders == ["News", "titles"]


def pages_read_what_pages_stored() -> None:
    renders.clear()
    Article.objects.create(title="News")
    for _time in range(2):
        assert Client().get("/").content.decode() == "<h2>News</h2>News\n"
    assert renders == ["News", "titles"]


def changes_and_invalidations_are_followed() -> None:
    article = Article.objects.create(title="Old")
    assert get_fragment("press.article_card", article) == "<h2>Old</h2>"
    assert get_fragment("press.titles") == "Old"
    article.title = "New"
    article.save()
    renders.clear()
    assert get_fragment("press.article_card", article) == "<h2>New</h2>"
    assert get_fragment("press.titles") == "Old"
    invalidate("press.titles")
    assert get_fragment("press.titles") == "New"
    assert renders == ["New", "titles"]


def fragments_are_sound() -> None:
    assert_fragment_sound("press.article_card", Article.objects.create(title="News"))
    assert_fragment_sound("press.titles")
