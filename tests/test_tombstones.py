"""What was deleted, or has left the items, is not shown for ever by those who read by heads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.models.signals import post_delete, post_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from fragcache import Fragment, get_fragment, get_fragments, invalidate, invalidate_many, manifest
from fragcache.keys import manifest_key
from fragcache.slots import head_life
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, on_target, warm
from tests.library.models import Artist

pytestmark = [pytest.mark.django_db, pytest.mark.without_local_cache]

KINDS: dict[str, dict[str, Any]] = {
    "by version": {"version": "updated_at"},
    "by version, stamped": {"version": "updated_at", "stamped": True},
    "without version": {},
}


@pytest.fixture(params=KINDS)
def card(request: pytest.FixtureRequest, cache_alias: str, declare: Any, templates: Any) -> Any:
    """A fragment of those artists who are not retired, in two variants and two languages."""
    templates({"card.html": "{{ variant }} {{ artist.name }}"})

    @declare(
        "card.html",
        name="library.card",
        items=lambda: Artist.objects.exclude(name="retired"),
        choices={"variant": ["row", "full"]},
        **KINDS[request.param],
    )
    def card(artist: Artist, variant: str = "row") -> dict[str, Any]:
        return {"artist": artist, "variant": variant}

    fragment: Fragment = card
    return fragment


@pytest.fixture(autouse=True)
def languages(settings: Any) -> None:
    settings.LANGUAGES = [("en-us", "English"), ("de", "German")]


@pytest.fixture
def wired() -> Iterator[Callable[..., None]]:
    """A function that connects a receiver to signals of artists, until the test ends."""
    connected = []

    def wire(receiver: Any, *signals: Any) -> None:
        for signal in signals:
            signal.connect(receiver, sender=Artist, weak=False)
            connected.append((signal, receiver))

    yield wire
    for signal, receiver in connected:
        signal.disconnect(receiver, sender=Artist)


def shown(pk: Any) -> list[str | None]:
    """Return what a target shows of an artist, in each variant and language."""
    found: list[str | None] = []
    with on_target("library.card"):
        for language in ("en-us", "de"):
            with translation.override(language):
                found += [
                    get_fragment("library.card", pk, variant=variant, default=None)
                    for variant in ("row", "full")
                ]
    return found


NOTHING = [None] * 4


def test_what_is_deleted_is_gone_from_targets_at_once(
    card: Fragment, artists: list[Artist], wired: Any, django_capture_on_commit_callbacks: Any
) -> None:
    nina, ella = artists
    warm(card)
    pk = nina.pk
    assert shown(pk) == ["row Nina", "full Nina"] * 2
    wired(lambda instance, **_kwargs: invalidate(card, instance), post_delete)

    with django_capture_on_commit_callbacks(execute=True):
        nina.delete()
        assert shown(pk) == ["row Nina", "full Nina"] * 2, "it is not committed"

    assert shown(pk) == NOTHING
    assert get_fragment(card, pk, default=None) is None
    assert shown(ella.pk) == ["row Ella", "full Ella"] * 2


def test_so_is_what_has_left_the_items(card: Fragment, artists: list[Artist], wired: Any) -> None:
    nina = artists[0]
    warm(card)

    def left(instance: Artist, **_kwargs: Any) -> None:
        if instance.name == "retired":
            invalidate(card, instance)

    wired(left, post_save)
    nina.name = "retired"
    nina.updated_at += dt.timedelta(seconds=1)
    nina.save()

    assert shown(nina.pk) == NOTHING


def test_without_an_invalidation_it_lives_as_long_as_its_entry_or_its_head(
    card: Fragment, artists: list[Artist], trips: RoundTrips
) -> None:
    warm(card)
    artists[0].delete()
    heads = [trip for trip in trips.of("advance_many") if trip.timeout is not None]

    assert shown(artists[1].pk) == ["row Ella", "full Ella"] * 2
    assert head_life(card) in {trip.timeout for trip in heads}
    assert (head_life(card) or 0) <= 8 * 86_400, "a day, and seven as max_age, with TIMEOUT a day"


def test_a_run_that_had_read_the_row_puts_no_head_back(
    card: Fragment, artists: list[Artist], monkeypatch: pytest.MonkeyPatch
) -> None:
    nina = artists[0]
    pk = nina.pk
    warm(card)
    get_contexts = card.get_contexts

    def deleted_meanwhile(items: Any) -> Any:
        found = get_contexts(items)
        if nina.pk is not None:
            models.QuerySet(Artist).filter(pk=pk).delete()
            invalidate(card, pk)
            nina.pk = None
        return found

    monkeypatch.setattr(card, "get_contexts", deleted_meanwhile)
    warm(card, force=True)

    assert nina.pk is None
    assert shown(pk) == NOTHING


def test_a_row_that_is_made_again_is_shown(card: Fragment, artists: list[Artist]) -> None:
    pk = artists[0].pk
    warm(card)
    artists[0].delete()
    invalidate(card, pk)

    Artist.objects.create(pk=pk, name="Nina the Second")
    warm(card)

    assert shown(pk) == ["row Nina the Second", "full Nina the Second"] * 2


def test_heads_by_a_clock_that_is_ahead_are_replaced(
    card: Fragment, artists: list[Artist], trips: RoundTrips
) -> None:
    """The database's clock is three seconds ahead of this machine's."""
    warm(card)
    keys = {k for t in trips.of("advance_many") for k in t.keys if "@" in k}
    heads = store().read_many(keys)
    ahead = {key: head._replace(as_of=head.as_of + 3_000_000) for key, head in heads.items()}
    store().write_many(ahead, None)
    pk = artists[0].pk
    artists[0].delete()

    invalidate(card, pk)

    assert shown(pk) == NOTHING


def test_axis_values_that_no_run_warms_are_gone_as_well_where_there_are_stamps(
    cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
) -> None:
    """A page made them; heads can be listed only for the values that are warmed."""
    templates({"card.html": "{{ artist }}"})

    @declare("card.html", name="library.card", model=Artist)
    def card(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    pk = artists[0].pk
    with timezone.override("Asia/Tokyo"):
        get_fragment(card, pk)
        manifest.publish(store(), [card])
        artists[0].delete()
        invalidate(card, pk)

        with on_target(card.name):
            assert get_fragment(card.name, pk, default=None) is None


@any_cache
def test_a_deletion_that_is_rolled_back_leaves_all_as_it_was(
    card: Fragment, artists: list[Artist], wired: Any, django_capture_on_commit_callbacks: Any
) -> None:
    warm(card)
    wired(lambda instance, **_kwargs: invalidate(card, instance), post_delete)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        Artist.objects.filter(pk=artists[0].pk).delete()
        transaction.set_rollback(True)

    assert shown(artists[0].pk) == ["row Nina", "full Nina"] * 2


@pytest.mark.parametrize("number", [1, 50])
def test_the_cost_does_not_depend_on_how_many(
    card: Fragment, trips: RoundTrips, number: int
) -> None:
    rows = Artist.objects.bulk_create(Artist(name=str(n)) for n in range(number))
    warm(card)
    pks = [row.pk for row in rows]
    Artist.objects.all().delete()
    trips.clear()

    with CaptureQueriesContext(connection) as queries:
        invalidate_many(card, pks)

    assert len(queries) == 1
    of_stamps = ["get_many", "advance_many"] if card.is_stamped else []
    commands = [*of_stamps, "get_many", "advance_many"]
    about_others = manifest_key(card.name)  # which is remembered for the lag
    assert [trip.command for trip in trips if about_others not in trip.keys] == commands
    with on_target("library.card"):
        assert get_fragments("library.card", pks, default=None) == [None] * number


@any_cache
def test_a_slice_of_items_knows_what_is_gone(
    cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
) -> None:
    templates({"x.html": "{{ artist }}"})

    @declare("x.html", items=lambda: Artist.objects.order_by("pk")[:1], version="updated_at")
    def x(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    invalidate(x, artists[1])


@any_cache
def test_what_no_head_names_needs_no_tombstone(
    cache_alias: str, declare: Any, templates: Any, artists: list[Artist], trips: RoundTrips
) -> None:
    templates({"x.html": "{{ artist }}"})

    @declare("x.html", model=Artist, version="updated_at")
    def x(artist: Artist, size: int) -> dict[str, Any]:
        return {"artist": artist}

    pk = artists[0].pk
    artists[0].delete()
    invalidate(x, pk, 3)

    assert trips == []
