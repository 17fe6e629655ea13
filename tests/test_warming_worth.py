"""With a time budget, what readers ask for most and what is dearest is rendered first."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.utils import translation

from fragcache import counters
from fragcache.events import Event, Measure
from fragcache.stats.keeping import keeper
from fragcache.stats.worth import worths
from tests.fixtures import any_cache
from tests.pages import configure

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
NAMES = ("shelf.a", "shelf.b", "shelf.c")


@pytest.fixture
def rendered(declare: Any, templates: Any, settings: Any) -> list[tuple[str, str, int]]:
    """What was rendered, in order: three fragments of two numbers in two languages."""
    templates({"number.html": "{{ n }}"})
    settings.LANGUAGES = [("de", "German"), ("en", "English")]
    settings.LANGUAGE_CODE = "en"
    rendered: list[tuple[str, str, int]] = []

    def declared(name: str) -> None:
        @declare("number.html", name=name, items=[1, 2], version=lambda _n: 1)
        def number(n: int) -> dict[str, Any]:
            rendered.append((name[-1], translation.get_language(), n))
            return {"n": n}

    for name in NAMES:
        declared(name)
    return rendered


def asked(name: str, language: str, *, hits: int, milliseconds: int) -> None:
    axes = f"language=s2:{language};time_zone=s3:UTC"
    costs = {Event.RENDERED: 10, Measure.RENDER_US: 10 * 1_000 * milliseconds}
    counters.count_many(name, axes, {Event.HIT: hits, Measure.LOOKUP_NS: 1, **costs})


def warm(*options: str) -> None:
    call_command("warm_fragments", "-v0", "--no-progress", *options)


def order(rendered: list[tuple[str, str, int]]) -> list[str]:
    return list(dict.fromkeys(f"{name} {language}" for name, language, _n in rendered))


def test_fragments_and_axis_values_come_by_what_readers_would_wait_for(
    rendered: list[tuple[str, str, int]],
) -> None:
    asked("shelf.a", "en", hits=1_000, milliseconds=1)
    asked("shelf.c", "en", hits=100, milliseconds=90)
    asked("shelf.c", "de", hits=10, milliseconds=90)
    keeper.flush()

    warm("--time-budget", "60")

    assert order(rendered) == ["c en", "c de", "a en", "a de", "b de", "b en"]


def test_without_a_time_budget_or_counts_the_order_is_that_of_names(
    rendered: list[tuple[str, str, int]],
) -> None:
    of_names = [f"{name} {language}" for name in "abc" for language in ("de", "en")]
    warm("--time-budget", "60")
    assert order(rendered) == of_names

    asked("shelf.c", "en", hits=100, milliseconds=90)
    keeper.flush()
    rendered.clear()
    warm("--force")
    assert order(rendered) == of_names


def test_counts_that_cannot_be_read_are_in_nobodys_way(
    rendered: list[tuple[str, str, int]],
) -> None:
    with configure(STATS="process"):
        assert worths() == {}
        warm("--time-budget", "60")
    assert len(rendered) == 12
