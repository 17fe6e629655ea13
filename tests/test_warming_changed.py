"""``--changed``: a run reads the rows that changed since the last one, and all now and then."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fragcache import Fragment, digests, get_fragment, invalidate_all, manifest
from fragcache.store import store
from fragcache.warming import watermarks
from fragcache.warming.watermarks import Watermark
from tests.fixtures import Clock, any_cache
from tests.library.models import Album, Artist
from tests.warming import A_SECOND, all_fresh, all_stored, counted, warm

pytestmark = [any_cache, pytest.mark.usefixtures("cache_alias"), pytest.mark.django_db]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def albums(db: None) -> list[Album]:
    """Ten albums of two artists, which were last changed long ago."""
    artists = [Artist.objects.create(name=name) for name in ("Nina", "Ella")]
    for number in range(10):
        Album.objects.create(title=f"Album {number}", artist=artists[number % 2])
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    Artist.objects.update(updated_at=long_ago)
    Album.objects.update(updated_at=long_ago)
    return list(Album.objects.order_by("pk"))


@pytest.fixture
def card(cache_alias: str, declare: Any, templates: Any, albums: list[Album]) -> Fragment:
    templates({"album.html": "{{ album.title }} by {{ album.artist.name }}"})

    @declare(
        "album.html",
        name="library.album",
        items=Album.objects.select_related("artist").all,
        version=["updated_at", "artist__updated_at"],
        choices={"variant": ["row", "full"]},
    )
    def album(album: Album, variant: str = "full") -> dict[str, Any]:
        return {"album": album}

    fragment: Fragment = album
    return fragment


def test_the_first_run_reads_everything_and_the_next_what_changed(
    card: Fragment, albums: list[Album]
) -> None:
    assert counted(warm(card, changed=True)) == all_stored(20)
    assert counted(warm(card, changed=True)) == {}

    albums[3].title = "Other"
    albums[3].save()
    assert counted(warm(card, changed=True)) == all_stored(2)
    assert get_fragment(card, albums[3].pk) == "Other by Ella"
    # What lies within the overlap is looked at again, and is found to be fresh.
    assert counted(warm(card, changed=True)) == all_fresh(2)


def test_a_run_without_it_counts_as_well(card: Fragment) -> None:
    warm(card)
    assert counted(warm(card, changed=True)) == {}


def test_only_changed_rows_travel(card: Fragment, albums: list[Album]) -> None:
    warm(card)
    albums[3].save()
    with CaptureQueriesContext(connection) as queries:
        warm(card, changed=True)

    walks = [query["sql"] for query in queries if "ORDER BY" in query["sql"]]
    assert len(walks) == 1
    assert ">=" in walks[0]


def test_a_change_of_a_relation_is_one_of_all_its_rows(card: Fragment) -> None:
    warm(card)
    nina = Artist.objects.get(name="Nina")
    Artist.objects.filter(pk=nina.pk).update(name="Nina Simone", updated_at=dt.datetime.now(dt.UTC))
    assert counted(warm(card, changed=True)) == all_stored(10)


@pytest.mark.parametrize("ago", [dt.timedelta(), 0.9 * dt.timedelta(seconds=watermarks.OVERLAP)])
def test_a_late_commit_within_the_overlap_is_found(
    card: Fragment, albums: list[Album], ago: dt.timedelta
) -> None:
    """Its time is of before the last run, which did not see it."""
    warm(card, changed=True)
    moment = dt.datetime.now(dt.UTC) - ago - A_SECOND
    Album.objects.filter(pk=albums[0].pk).update(title="Late", updated_at=moment)

    assert counted(warm(card, changed=True)) == all_stored(2)


def test_what_the_overlap_misses_is_found_by_the_next_whole_run(
    card: Fragment, albums: list[Album], clock: Clock
) -> None:
    warm(card, changed=True)
    back = albums[0].updated_at - HOUR
    Album.objects.filter(pk=albums[0].pk).update(title="Restored", updated_at=back)
    assert counted(warm(card, changed=True)) == {}

    clock.step(watermarks.WHOLE_EVERY / 2 + 60)
    assert counted(warm(card, changed=True)) == {
        "planned": 20,
        "fresh": 18,
        "rendered": 2,
        "stored": 2,
    }
    assert counted(warm(card, changed=True)) == {}, "and it counts as one"


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"timeout": None, "max_age": None}, watermarks.WHOLE_EVERY),
        ({"timeout": 3600}, 1800),
        ({"timeout": 3600, "max_age": 3600}, 360),
    ],
)
def test_everything_is_read_before_entries_would_end(
    declare: Any,
    templates: Any,
    albums: list[Album],
    clock: Clock,
    options: dict[str, Any],
    seconds: float,
) -> None:
    templates({"x.html": ""})

    @declare("x.html", items=Album.objects.all, version="updated_at", **options)
    def x(album: Album) -> dict[str, Any]:
        return {}

    warm(x)
    clock.step(seconds - 10)
    assert counted(warm(x, changed=True)) == {}
    clock.step(20)
    assert counted(warm(x, changed=True)) == all_fresh(10)


class TestWhatMakesARunWhole:
    def test_another_template_or_other_code(self, card: Fragment) -> None:
        warm(card)
        card.revision = 2
        digests.forget()
        assert counted(warm(card, changed=True)) == all_stored(20)

    def test_an_invalidation(self, card: Fragment) -> None:
        warm(card)
        invalidate_all(card)
        assert counted(warm(card, changed=True)) == all_stored(20)

    def test_another_language(self, card: Fragment, settings: Any) -> None:
        warm(card)
        settings.LANGUAGES = [("en-us", "English"), ("de", "Deutsch")]
        assert counted(warm(card, changed=True)) == all_stored(40)

    def test_other_choices(self, card: Fragment) -> None:
        warm(card)
        card.choices = {"variant": ["row", "full", "tile"]}
        del card.parameters
        assert counted(warm(card, changed=True))["planned"] == 30

    def test_what_another_release_has_noted(self, card: Fragment) -> None:
        warm(card)
        manifest.publish(store(), [card], {"read_at": 1, "by_rows": {}})
        assert counted(warm(card, changed=True)) == all_fresh(20)

    def test_a_cache_that_was_emptied(self, card: Fragment, cache_alias: str) -> None:
        warm(card)
        caches[cache_alias].clear()
        assert counted(warm(card, changed=True)) == all_stored(20)

    def test_a_run_that_did_not_complete(self, card: Fragment) -> None:
        warm(card, limit=5)
        assert counted(warm(card, changed=True))["planned"] == 20

    def test_a_run_in_which_something_failed(
        self, card: Fragment, albums: list[Album], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(album: Album, variant: str = "full") -> dict[str, Any]:
            if album.pk == albums[0].pk:
                raise ValueError("no")
            return {"album": album}

        with monkeypatch.context() as patched:
            patched.setattr(card, "function", fails)
            assert warm(card, changed=True).totals.failed == 2
        assert counted(warm(card, changed=True))["planned"] == 20

    @pytest.mark.parametrize("part", [{"only": ["1"]}, {"axis_values": {"language": ["en-us"]}}])
    def test_a_part_is_no_run_to_rely_on(self, card: Fragment, part: dict[str, Any]) -> None:
        warm(card, **part)
        assert counted(warm(card, changed=True))["planned"] == 20

    def test_a_dry_run_reads_what_changed(self, card: Fragment, albums: list[Album]) -> None:
        warm(card)
        albums[3].save()
        assert counted(warm(card, changed=True, dry=True)) == {"planned": 2}

    def test_a_dry_run_is_none_either(self, card: Fragment) -> None:
        warm(card, dry=True)
        assert counted(warm(card, changed=True)) == all_stored(20)


class TestWhereItCannotBeTold:
    """A fragment whose rows do not carry the time of each change is walked as ever."""

    @pytest.mark.parametrize(
        "options",
        [
            {"items": Album.objects.all, "version": "id"},
            {"items": Album.objects.all, "version": ["updated_at", "artist__name"]},
            {"items": Album.objects.all, "version": lambda album: album.updated_at},
            {"items": lambda: Album.objects.order_by("pk")[:10], "version": "updated_at"},
            {"items": Album.objects.all, "version": "updated_at", "stamped": True},
            {"items": lambda: list(Album.objects.all()), "version": "updated_at"},
        ],
    )
    def test_all_is_read(
        self, declare: Any, templates: Any, albums: list[Album], options: dict[str, Any]
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", **options)
        def x(album: Album) -> dict[str, Any]:
            return {}

        warm(x)
        assert counted(warm(x, changed=True)) == all_fresh(10)

    def test_without_a_version_all_is_rendered(
        self, declare: Any, templates: Any, albums: list[Album]
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", items=Album.objects.all)
        def x(album: Album) -> dict[str, Any]:
            return {}

        warm(x)
        assert counted(warm(x, changed=True)) == all_stored(10)


def test_with_a_time_budget_both_passes_read_what_changed(
    card: Fragment, albums: list[Album]
) -> None:
    warm(card)
    albums[3].save()
    assert counted(warm(card, changed=True, time_budget=60)) == all_stored(2)
    assert counted(warm(card, changed=True)) == all_fresh(2)


def test_without_time_zones_times_are_compared_as_the_database_has_them(
    card: Fragment, albums: list[Album], settings: Any
) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "America/New_York"
    warm(card)
    assert counted(warm(card, changed=True)) == {}
    albums[3].save()
    assert counted(warm(card, changed=True)) == all_stored(2)


@pytest.mark.parametrize(("later", "since"), [(5, "01:40"), (50, "00:40"), (170, "00:40")])
def test_what_changes_in_the_hour_that_summer_time_ends_with_is_looked_at(
    settings: Any, clock: Clock, later: int, since: str
) -> None:
    """Where columns have no zone, it comes twice: 1:45 of the second time is before 1:50."""
    settings.USE_TZ = False
    settings.TIME_ZONE = "America/New_York"
    read_at = dt.datetime(2026, 11, 1, 5, 50, tzinfo=dt.UTC)
    clock.step(read_at.timestamp() + later * 60 - time.time())
    mark = Watermark(read_at=round(read_at.timestamp() * 1_000_000), whole_at=0, scope="")
    assert f"{mark.since:%Y-%m-%d %H:%M}" == f"2026-11-01 {since}"
