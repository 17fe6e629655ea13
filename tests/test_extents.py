"""Extents: how large the product of items, choices and axis values is, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from fragcache import Fragment
from fragcache.warming import Plan
from fragcache.warming.extents import extent_of, extents
from tests.library.models import Artist

pytestmark = pytest.mark.django_db
AB = ["a", "b"]


@pytest.fixture(autouse=True)
def languages(settings: Any) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French")]


def card(declare: Any, **options: Any) -> Fragment:
    fragment: Fragment = declare("x.html", name="library.card", **options)(
        lambda artist=1, variant=1, category=1, first_letter=1, bus=1, way=1: {}
    )
    return fragment


def words() -> Iterator[str]:
    yield "a"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"items": Artist.objects.all, "choices": {"variant": AB}},
            "1,200 items x 2 variants x 3 languages = 7,200",
        ),
        (
            {"items": Artist.objects.all()[:1], "vary_on": ["-language"]},
            "1 item",
        ),
        ({"items": words, "choices": {"variant": AB}}, "? items x 2 variants x 3 languages"),
        ({"items": []}, "0 items x 3 languages = 0"),
        ({"vary_on": ["-language"]}, "1 entry"),
        ({"choices": {"variant": ["a"]}}, "3 languages"),
        (
            {
                "choices": {"category": AB, "first_letter": AB, "bus": AB, "way": AB},
                "vary_on": ["-language"],
            },
            "2 categories x 2 first letters x 2 buses x 2 ways = 16",
        ),
        ({"vary_on": ["-language", "scheme", "time_zone"]}, "2 schemes"),
    ],
)
def test_the_product_is_said(declare: Any, options: dict[str, Any], said: str) -> None:
    Artist.objects.bulk_create(Artist(name=str(n)) for n in range(1200))

    assert str(extent_of(card(declare, **options))) == said


def test_one_query_counts_the_items(declare: Any, django_assert_num_queries: Any) -> None:
    fragment = card(declare, items=Artist.objects.all, choices={"variant": AB})
    with django_assert_num_queries(1):
        extent = extent_of(fragment)
    assert (extent.items, extent.entries) == (0, 0)


def test_a_plan_is_narrowed_by_items_and_axis_values(declare: Any) -> None:
    fragment = card(declare, items=Artist.objects.all, choices={"variant": AB})
    plan = Plan(fragments=[fragment], only=["1", "2", "1"], axis_values={"language": ["de"]})
    assert str(extents(plan)["library.card"]) == "2 items x 2 variants = 4"


def test_of_tuples_several_may_have_one_key(declare: Any) -> None:
    fragment = card(declare, items=[(1, "a"), (1, "b")])
    assert extents(Plan(fragments=[fragment], only=["1"]))["library.card"].entries is None  # type: ignore[union-attr]


def test_where_items_raise_nothing_is_said(declare: Any) -> None:
    """The run itself says what is wrong."""

    def broken() -> Any:
        raise LookupError("no table")

    fragment = card(declare, items=broken)
    assert extents(Plan(fragments=[fragment])) == {"library.card": None}


def test_the_list_shows_it(declare: Any, capsys: pytest.CaptureFixture) -> None:
    Artist.objects.create(name="Nina")
    card(declare, items=Artist.objects.all, choices={"variant": AB})
    declare("x.html", name="library.search")(lambda text: {})

    call_command("fragments", "list")

    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[-1] == "warmed"
    column = heading.index("warmed")
    shown = {line.split()[0]: line[column:] for line in lines}
    assert shown["library.card"] == "1 item x 2 variants x 3 languages = 6"
    assert shown["library.search"] == ""
