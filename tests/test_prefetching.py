"""``{% prefetch_fragments %}``: one round trip for all, wherever a page shows them afterwards."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from django.template.loader import render_to_string

from fragcache import Fragment
from tests.fixtures import RoundTrips, any_cache, in_request, on_target, warm
from tests.fixtures import without_local_cache as remote
from tests.library.models import Artist
from tests.pages import Visitor, configure, page, relayed, servers, shared_caches

pytestmark = [pytest.mark.django_db, remote]

PREFETCH = "".join(
    "{% prefetch_fragments 'library." + name + "' artists %}" for name in ("one", "two", "three")
)
TEMPLATES = {
    "base.html": "<{% block title %}{% endblock %}{% block content %}{% endblock %}>",
    "child.html": (
        "{% extends 'base.html' %}{% load fragcache %}"
        "{% block title %}" + PREFETCH + "{% with last=artists|last %}"
        "{% fragment 'library.two' last %}{% endwith %}|{% endblock %}"
        "{% block content %}"
        "{% for artist in artists reversed %}{% include 'row.html' %}{% endfor %}|"
        "{% for artist in artists %}{% fragment 'library.three' artist as html %}{{ html }}"
        "{% endfor %}|{% fragments 'library.one' artists %}{% endblock %}"
    ),
    "row.html": "{% load fragcache %}{% include 'cell.html' with name='library.one' %}"
    "{% fragment 'library.two' artist %} ",
    "cell.html": "{% load fragcache %}{% fragment name artist %}",
}
PRINTED = "<2E|1E2E 1N2N |3N3E|1N1E>"
within = pytest.mark.parametrize("within", [in_request, nullcontext], ids=["request", "render"])


@pytest.fixture
def three(declare: Any, templates: Any, artists: list[Artist], renders: list[Any]) -> Any:
    """A function that declares three fragments of artists, each with a template of its own."""

    def three(**options: Any) -> list[Fragment]:
        templates(TEMPLATES)
        declared = []
        for number, name in enumerate(("one", "two", "three"), 1):
            templates({f"{name}.html": f"{number}{{{{ artist.name|slice:1 }}}}"})

            def context(artist: Artist) -> dict[str, Any]:
                renders.append(artist.pk)
                return {"artist": artist}

            given = {"items": Artist.objects.all, "version": "updated_at", **options}
            declared.append(declare(f"{name}.html", name=f"library.{name}", **given)(context))
        return declared

    return three


def child(artists: Any) -> str:
    return render_to_string("child.html", {"artists": artists})


class TestRoundTrips:
    @shared_caches
    @within
    def test_three_lists_cost_one_wherever_they_are_placed(
        self,
        cache_alias: str,
        three: Any,
        artists: list[Artist],
        trips: RoundTrips,
        within: Any,
    ) -> None:
        """In loops, in another order, by a variable name, in includes, in a child's block."""
        three()
        assert child(artists) == PRINTED
        trips.clear()

        with within():
            assert child(artists) == PRINTED
        assert trips.commands == ["get_many"]

    @servers
    def test_it_is_one_on_the_wire(
        self, cache_alias: str, three: Any, artists: list[Artist]
    ) -> None:
        three()
        with relayed(cache_alias) as relay:
            child(artists)
            with relay.counting() as counted:
                assert child(artists) == PRINTED
        assert counted.count == 1

    @shared_caches
    @within
    def test_those_that_are_found_by_head_cost_two(
        self,
        cache_alias: str,
        three: Any,
        artists: list[Artist],
        trips: RoundTrips,
        within: Any,
        renders: list[Any],
    ) -> None:
        three(version=None)
        with in_request():
            child(artists)
        trips.clear()
        renders.clear()

        with within():
            assert child(artists) == PRINTED
        assert trips.commands == ["get_many", "get_many"]
        assert renders == []

    @any_cache
    def test_a_target_needs_two(
        self, cache_alias: str, three: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        declared = three()
        warm(*declared)
        with on_target(*(fragment.name for fragment in declared)):
            child(artists)  # reads the manifests
            trips.clear()

            assert child(artists) == PRINTED
        assert trips.commands == ["get_many", "get_many"]

    @shared_caches
    def test_what_is_never_placed_costs_none(
        self, cache_alias: str, three: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        three()
        child(artists)
        trips.clear()

        with in_request():
            assert page(PREFETCH, artists=artists) == ""
        assert trips == []
        with in_request():
            assert page(PREFETCH + "{% fragment 'library.two' artists.0 %}", artists=artists)
        assert trips.commands == ["get_many"]

    @any_cache
    def test_what_the_process_holds_is_not_fetched(
        self, cache_alias: str, three: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        three()
        with configure(LOCAL_MAX_BYTES=2**20):
            child(artists[:1])
            trips.clear()
            child(artists)
            fetched = {key for trip in trips.of("get_many") for key in trip.keys if "#" not in key}
            assert len(fetched) == 3  # of Ella
            trips.clear()
            assert child(artists) == PRINTED
        assert trips == []

    @any_cache
    def test_primary_keys_cost_a_query_for_each_list(
        self, cache_alias: str, three: Any, artists: list[Artist], django_assert_num_queries: Any
    ) -> None:
        three()
        pks = [artist.pk for artist in artists]
        page(PREFETCH + "{% fragments 'library.one' artists %}", artists=pks)

        with django_assert_num_queries(3):
            assert page(PREFETCH, artists=pks) == ""


@any_cache
class TestSurroundings:
    def test_in_another_language_than_it_was_prefetched_in_it_is_shown_in_its_own(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist.name|slice:1 }}{% load l10n %}{{ price }} "})

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist, "price": 1.5}

        source = (
            "{% load i18n %}{% prefetch_fragments 'library.x' artists %}"
            "{% language 'de' %}{% fragments 'library.x' artists %}{% endlanguage %}"
            "{% fragments 'library.x' artists %}"
        )
        for _page in range(2):
            assert page(source, artists=artists) == "N1,5 E1,5 N1.5 E1.5 "

    def test_each_visitor_gets_their_own(
        self, cache_alias: str, declare: Any, templates: Any, rf: Any, trips: RoundTrips
    ) -> None:
        templates({"x.html": "{{ visitor }}:{{ name }} "})
        with configure(AXES=["tests.pages.Visitor"]):

            @declare("x.html", name="library.x", version=lambda name: 1, vary_on=["visitor"])
            def x(name: str) -> dict[str, Any]:
                return {"name": name, "visitor": Visitor.active.get()}

            source = (
                "{% prefetch_fragments 'library.x' names %}"
                "{% for name in names %}{% fragment 'library.x' name %}{% endfor %}"
            )
            for _visit in range(2):
                for visitor in ("nina", "ella"):
                    request = rf.get("/", headers={"cookie": f"sessionid={visitor}"})
                    trips.clear()
                    with in_request():
                        html = page(source, request, names=["a", "b"])
                    assert html == f"{visitor}:a {visitor}:b "
            assert trips.commands == ["get_many"]

    def test_none_in_the_place_of_a_row_is_nothing(
        self, cache_alias: str, three: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        three()
        given = [None, artists[0], "", artists[1]]
        assert child([*given]) == "<2E|1E2E  1N2N  |3N3E|1N1E>"
        trips.clear()
        assert child([*given]) == "<2E|1E2E  1N2N  |3N3E|1N1E>"
        assert trips.commands == ["get_many"]
        assert page(PREFETCH, artists=[None]) == page(PREFETCH, artists=None) == ""

    def test_rows_that_are_gone_print_nothing(
        self, cache_alias: str, three: Any, artists: list[Artist]
    ) -> None:
        three()
        nina, ella = artists
        pks = [nina.pk, ella.pk]
        Artist.objects.filter(pk=nina.pk).delete()
        assert child(pks) == "<2E|1E2E  |3E|1E>"

    def test_switched_off_everything_is_rendered(
        self, cache_alias: str, three: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        three()
        with configure(ENABLED=False):
            assert child(artists) == PRINTED
        assert trips == []

    def test_the_next_page_knows_nothing_of_it(
        self, cache_alias: str, three: Any, artists: list[Artist], trips: RoundTrips
    ) -> None:
        three()
        child(artists)
        source = "{% fragment 'library.one' artists.0 %}"
        for first in (in_request, nullcontext):
            with first():
                page(PREFETCH, artists=artists)
            trips.clear()
            page(source, artists=artists)
            assert len([key for key in trips[0].keys if "#" not in key]) == 1
