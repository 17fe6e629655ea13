"""Stale entries: nobody waits while one may be shown, and one process renews it afterwards."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest
from django.utils import timezone

from fragcache import (
    Fragment,
    digests,
    get_fragment,
    get_fragments,
    invalidate,
    invalidate_all,
    leases,
)
from fragcache.events import Event
from tests.fixtures import Clock, RoundTrips, happened, in_request, warm, without_local_cache
from tests.fleets import until
from tests.library.models import Artist
from tests.pages import shared_caches

pytestmark = [
    shared_caches,
    pytest.mark.usefixtures("cache_alias"),
    pytest.mark.django_db,
    without_local_cache,
]
MINUTE = dt.timedelta(minutes=1)


class Card:
    """A fragment of an artist that may be shown stale for ten minutes."""

    def __init__(self, declare: Any, templates: Any, **options: Any) -> None:
        templates({"card.html": "{{ name }}", "outer.html": OUTER})
        self.rendered: list[str] = []
        self.error: Exception | None = None

        @declare("card.html", name="library.card", items=Artist.objects.all, **options)
        def card(artist: Artist) -> dict[str, Any]:
            if self.error:
                raise self.error
            self.rendered.append(artist.name)
            return {"name": artist.name}

        self.fragment: Fragment = card

    def visit(self, artist: Artist) -> str:
        """Return what a visitor sees, with what was rendered before the answer in ``waited``."""
        self.rendered.clear()
        artist.refresh_from_db()
        with in_request():
            html = str(get_fragment(self.fragment, artist))
            self.waited = list(self.rendered)
        return html


OUTER = "{% load fragcache %}({% fragment 'library.card' artist %})"


@pytest.fixture
def nina(db: None) -> Artist:
    return Artist.objects.create(name="Nina", updated_at=timezone.now() - MINUTE)


@pytest.fixture
def card(declare: Any, templates: Any) -> Card:
    return Card(declare, templates, version="updated_at", stale_while_revalidate=600)


def change(artist: Artist, name: str, ago: dt.timedelta = dt.timedelta()) -> None:
    Artist.objects.filter(pk=artist.pk).update(name=name, updated_at=timezone.now() - ago)


class TestWhileRevalidating:
    def test_an_older_version_is_shown_and_renewed_after_the_answer(
        self, card: Card, nina: Artist
    ) -> None:
        card.visit(nina)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited, card.rendered) == ("Nina", [], ["Ella"])
        assert happened(Event.STALE_SERVED, "library.card") == 1
        assert (card.visit(nina), card.rendered) == ("Ella", [])

    def test_so_is_what_was_warmed(self, card: Card, nina: Artist) -> None:
        warm(card.fragment)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited) == ("Nina", [])
        assert (card.visit(nina), card.rendered) == ("Ella", [])

    def test_what_older_code_made_is_shown_and_renewed(self, card: Card, nina: Artist) -> None:
        warm(card.fragment)
        card.fragment.revision = 2
        digests.forget()

        assert (card.visit(nina), card.waited, card.rendered) == ("Nina", [], ["Nina"])
        assert (card.visit(nina), card.rendered) == ("Nina", [])

    def test_what_is_past_its_time_is_shown_and_renewed(
        self, declare: Any, templates: Any, nina: Artist, clock: Clock
    ) -> None:
        card = Card(declare, templates, timeout=60, stale_while_revalidate=600)
        card.visit(nina)
        clock.step(61)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited, card.rendered) == ("Nina", [], ["Ella"])
        assert (card.visit(nina), card.rendered) == ("Ella", [])

    def test_not_longer_than_it_says(self, card: Card, nina: Artist) -> None:
        card.visit(nina)
        change(nina, "Ella", ago=11 * MINUTE)

        assert (card.visit(nina), card.waited) == ("Ella", ["Ella"])

    def test_nor_past_its_time_for_longer(
        self, declare: Any, templates: Any, nina: Artist, clock: Clock
    ) -> None:
        card = Card(declare, templates, timeout=60, stale_while_revalidate=600)
        card.visit(nina)
        clock.step(661)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited) == ("Ella", ["Ella"])

    def test_where_versions_are_numbers_as_long_as_the_entry_lives(
        self, declare: Any, templates: Any, nina: Artist
    ) -> None:
        numbers = iter([1, 2, 2])
        card = Card(
            *(declare, templates), version=lambda _artist: next(numbers), stale_while_revalidate=60
        )
        card.visit(nina)
        assert (card.visit(nina), card.waited, card.rendered) == ("Nina", [], ["Nina"])
        assert (card.visit(nina), card.rendered) == ("Nina", [])

    def test_what_was_invalidated_is_not_shown(self, card: Card, nina: Artist) -> None:
        card.visit(nina)
        invalidate_all(card.fragment)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited) == ("Ella", ["Ella"])

    def test_nor_one_that_was(self, declare: Any, templates: Any, nina: Artist) -> None:
        card = Card(
            *(declare, templates), version="updated_at", stamped=True, stale_while_revalidate=600
        )
        card.visit(nina)
        invalidate(card.fragment, nina)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited) == ("Ella", ["Ella"])

    def test_without_it_the_visitor_waits(self, declare: Any, templates: Any, nina: Artist) -> None:
        card = Card(declare, templates, version="updated_at", timeout=600)
        card.visit(nina)
        change(nina, "Ella")

        assert (card.visit(nina), card.waited) == ("Ella", ["Ella"])

    def test_what_is_missing_is_rendered_beside_what_is_stale(
        self, card: Card, nina: Artist
    ) -> None:
        card.visit(nina)
        change(nina, "Ella")
        bessie = Artist.objects.create(name="Bessie")
        card.rendered.clear()
        with in_request():
            artists = list(Artist.objects.order_by("pk"))
            assert get_fragments(card.fragment, artists) == ["Nina", "Bessie"]
            assert card.rendered == ["Bessie"]
        assert card.rendered == ["Bessie", "Ella"]
        assert bessie.pk

    def test_one_of_those_who_show_it_renews_it(self, card: Card, nina: Artist) -> None:
        card.visit(nina)
        change(nina, "Ella")
        nina.refresh_from_db()
        card.rendered.clear()
        for _visitor in range(2):
            with in_request():
                for _place in range(3):
                    get_fragment(card.fragment, nina)
        assert card.rendered == ["Ella"]

    def test_inside_of_another_fragment_it_is_fresh(
        self, card: Card, declare: Any, nina: Artist
    ) -> None:
        """The outer one will be kept, under a version that says nothing of the inner one's."""

        @declare("outer.html", name="library.outer", version=lambda artist: artist.name)
        def outer(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        card.visit(nina)
        change(nina, "Ella")
        nina.refresh_from_db()
        with in_request():
            assert get_fragment(outer, nina) == "(Ella)"

    def test_outside_of_a_request_nobody_is_spared(self, card: Card, nina: Artist) -> None:
        card.visit(nina)
        change(nina, "Ella")
        nina.refresh_from_db()
        assert get_fragment(card.fragment, nina) == "Ella"

    def test_a_hit_costs_what_it_cost(self, card: Card, nina: Artist, trips: RoundTrips) -> None:
        card.visit(nina)
        trips.clear()
        card.visit(nina)
        assert trips.commands == ["get_many"]

    def test_a_renewal_that_fails_is_logged_and_tried_again(
        self,
        card: Card,
        nina: Artist,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(leases, "LEAST_LIFE", 0.2)
        monkeypatch.setattr(leases, "_KEPT", 0.2)
        card.visit(nina)
        change(nina, "Ella")
        card.error = ValueError("of a visitor's secret")

        assert card.visit(nina) == "Nina"
        [record] = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert record.getMessage() == (
            "library.card could not be renewed, and goes on being shown stale: ValueError."
        )
        assert happened(Event.RENEWAL_FAILED, "library.card") == 1
        card.error = None
        # When the lease of the renewal that failed has ended; Memcached counts whole seconds.
        until(lambda: (card.visit(nina), card.rendered) == ("Nina", ["Ella"]))
        assert card.visit(nina) == "Ella"


class TestIfError:
    @pytest.fixture
    def card(self, declare: Any, templates: Any) -> Card:
        return Card(declare, templates, version="updated_at", stale_if_error=600)

    def test_while_rendering_fails_the_older_one_is_shown(
        self, card: Card, nina: Artist, caplog: pytest.LogCaptureFixture
    ) -> None:
        card.visit(nina)
        change(nina, "Ella")
        card.error = ValueError("of a visitor's secret")

        assert card.visit(nina) == "Nina"
        assert happened(Event.STALE_SERVED, "library.card") == 1
        [record] = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert record.getMessage() == (
            "library.card is shown stale, since it could not be rendered: ValueError."
        )
        card.error = None
        assert card.visit(nina) == "Ella"

    def test_not_longer_than_it_says(self, card: Card, nina: Artist) -> None:
        card.visit(nina)
        change(nina, "Ella", ago=11 * MINUTE)
        card.error = ValueError("no")

        with pytest.raises(ValueError, match="no"):
            card.visit(nina)

    def test_where_one_has_none_the_exception_is_the_caller_s(
        self, card: Card, nina: Artist
    ) -> None:
        card.visit(nina)
        change(nina, "Ella")
        Artist.objects.create(name="Bessie")
        card.error = ValueError("no")

        with in_request(), pytest.raises(ValueError, match="no"):
            get_fragments(card.fragment, Artist.objects.order_by("pk"))

    def test_only_where_it_is_asked_for(self, declare: Any, templates: Any, nina: Artist) -> None:
        card = Card(declare, templates, version="updated_at", timeout=600)
        card.visit(nina)
        change(nina, "Ella")
        card.error = ValueError("no")

        with pytest.raises(ValueError, match="no"):
            card.visit(nina)
