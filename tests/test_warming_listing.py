"""Items that carry data are stored under no token that may be younger than they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fragcache import (
    Fragment,
    axes,
    get_fragment,
    invalidate,
    invalidate_all,
    manifest,
    page,
    tokens,
)
from fragcache.digests import digest_of
from fragcache.keys import base_key, encode_axes, head_key
from fragcache.store import store
from fragcache.token_memory import TokenName
from fragcache.warming import Plan, Run, Status, worker
from fragcache.warming.crews import Alone, Done
from fragcache.warming.units import TOO_LATE, Unit
from tests.carried import NAME, Row, Site
from tests.fixtures import Clock, RoundTrips, any_cache, elsewhere, in_request
from tests.library.models import Album, Artist
from tests.warming import all_stored, counted, warm

pytestmark = [any_cache, pytest.mark.usefixtures("cache_alias")]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def row(declare: Any, templates: Any, site: Site) -> Fragment:
    templates({"row.html": "{{ row.value }}"})

    @declare("row.html", name=NAME, items=site.rows)
    def row(row: Row) -> dict[str, Any]:
        site.rendered.append((row.number, row.value))
        return {"row": row}

    fragment: Fragment = row
    assert fragment.item_model is None  # for which its items are listed
    site.listings = 0
    return fragment


@pytest.fixture
def versioned(declare: Any, templates: Any, site: Site) -> Fragment:
    templates({"row.html": "{{ row.value }}"})

    @declare("row.html", name="library.versioned", items=site.rows, version=lambda _row: 1)
    def versioned(row: Row) -> dict[str, Any]:
        return {"row": row}

    fragment: Fragment = versioned
    assert fragment.item_model is None
    return fragment


def test_they_are_listed_once_while_nothing_is_invalidated(row: Fragment, site: Site) -> None:
    for run in (1, 2):
        assert counted(warm(row)) == all_stored(3)
        assert site.listings == run


@pytest.mark.parametrize("size", [1, 500])
def test_one_that_was_invalidated_meanwhile_is_listed_again_alone(
    row: Fragment, site: Site, size: int
) -> None:
    warm(row)
    site.rendered.clear()
    site.meanwhile = site.change_once

    report = warm(row, batch_size=size)

    assert counted(report) == all_stored(3)
    assert site.rendered == [(0, "old"), (2, "old"), (1, "older")]
    assert get_fragment(NAME, Row(1, "?")) == "older"


def test_all_are_listed_again_if_all_were_invalidated(row: Fragment, site: Site) -> None:
    warm(row)
    site.rendered.clear()
    site.meanwhile = lambda: site.change_once(None)

    assert counted(warm(row)) == all_stored(3)
    assert site.rendered == [(number, "older") for number in range(3)]


def test_what_was_invalidated_long_before_is_listed_once(
    row: Fragment, site: Site, clock: Clock
) -> None:
    warm(row)
    site.listings = 0
    site.change(None)
    clock.step(11)

    assert counted(warm(row)) == all_stored(3)
    assert site.listings == 1


def test_what_is_invalidated_each_time_is_refused(row: Fragment, site: Site) -> None:
    warm(row)
    site.listings = 0
    site.meanwhile = site.change

    report = warm(row)

    assert counted(report) == {"planned": 3, "rendered": 3, "stored": 2, "refused": 1}
    assert (report.status, site.listings) == (Status.FAILED, 3)
    assert report.refusals[NAME] == {TOO_LATE: 1}
    site.meanwhile = lambda: None
    assert get_fragment(NAME, Row(1, "shown")) == "shown", "nothing of before is stored"


def test_with_a_version_the_token_of_all_counts(versioned: Fragment, site: Site) -> None:
    def change() -> None:
        site.meanwhile = lambda: None
        site.value = "new"
        with elsewhere():
            invalidate_all("library.versioned")

    warm(versioned)
    site.meanwhile = change

    assert counted(warm(versioned)) == all_stored(3)
    assert get_fragment("library.versioned", Row(2, "?")) == "new"


def test_a_budget_of_time_counts_each_once(row: Fragment, site: Site) -> None:
    site.meanwhile = site.change_once

    assert counted(warm(row, time_budget=60)) == all_stored(3)
    assert get_fragment(NAME, Row(1, "?")) == "older"


def test_a_limit_ends_it(row: Fragment, site: Site) -> None:
    warm(row)
    site.meanwhile = site.change_once

    report = warm(row, limit=1)

    assert (report.status, report.totals.rendered) == (Status.INCOMPLETE, 1)


def test_what_is_due_is_told_once(row: Fragment, site: Site) -> None:
    warm(row)
    site.meanwhile = site.change_once
    told: list[int] = []

    Run(
        Plan(fragments=[row]),
        on_due=lambda _fragment, instance: told.append(instance.arguments[0].number),
    ).execute()

    assert sorted(told) == [0, 1, 2]


def test_what_a_page_stores_before_it_is_listed_again_is_fresh(
    versioned: Fragment, site: Site
) -> None:
    def show() -> None:
        with elsewhere():
            tokens.read(store(), [TokenName("library.versioned")])  # some time before
            with in_request():
                assert get_fragment("library.versioned", Row(0, "x")) == "x"

    def change() -> None:
        site.meanwhile = show
        with elsewhere():
            invalidate_all("library.versioned")

    site.meanwhile = change

    counts = {"planned": 3, "fresh": 1, "rendered": 2, "stored": 2}
    assert counted(warm(versioned)) == counts


def test_targets_are_told_when_the_last_one_is_warm(row: Fragment, site: Site) -> None:
    seen = []

    def look() -> None:
        seen.append(manifest.find(store(), NAME))

    def change() -> None:
        site.change()
        site.meanwhile = look

    site.meanwhile = change
    warm(row)

    assert seen == [None]
    assert manifest.find(store(), NAME) is not None


def test_heads_are_as_old_as_the_listing(row: Fragment, site: Site) -> None:
    listed: list[int] = []
    site.meanwhile = lambda: listed.append(page.now())

    warm(row)

    instance = row.parameters.instance((Row(1, ""),))
    axis_values = encode_axes({name: axes.get(name).current(None) for name in row.axes})
    key = head_key(base_key(NAME, instance.encoded, axis_values), digest_of(row))
    assert 0 < store().read_many([key])[key].as_of <= listed[0]


def test_a_crew_may_hand_back_at_the_end_what_is_too_late(row: Fragment, site: Site) -> None:
    class Late(Alone):
        def __init__(self) -> None:
            self.kept: list[Done] = []

        def submit(self, unit: Unit) -> Iterator[Done]:
            self.kept += super().submit(unit)
            yield from ()

        def finish(self, *, is_ended: bool = False) -> Iterator[Done]:
            kept, self.kept = self.kept, []
            yield from kept

    warm(row)
    site.meanwhile = site.change_once

    assert counted(Run(Plan(fragments=[row]), crew=Late()).execute()) == all_stored(3)


def test_workers_are_told_when_their_items_were_listed(row: Fragment, site: Site) -> None:
    class Told(Alone):
        def submit(self, unit: Unit) -> Iterator[Done]:
            with elsewhere():
                [(_unit, outcome)] = super().submit(worker._unpacked(worker.packed(unit)))
            yield unit, outcome

    warm(row)
    site.meanwhile = site.change_once

    assert counted(Run(Plan(fragments=[row]), crew=Told()).execute()) == all_stored(3)
    assert get_fragment(NAME, Row(1, "?")) == "older"


def test_a_batch_of_plain_values_beside_them_is_not_rendered_twice(
    declare: Any, templates: Any, site: Site
) -> None:
    templates({"row.html": "{{ row }}"})
    rendered: list[object] = []

    @declare("row.html", name=NAME, items=lambda: ["plain", *site.rows()])
    def mixed(row: Any) -> dict[str, Any]:
        rendered.append(getattr(row, "number", row))
        return {"row": row}

    site.meanwhile = site.change_once

    assert counted(warm(mixed, batch_size=1)) == all_stored(4)
    assert rendered == ["plain", 0, 2, 1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "options",
    [
        {"items": lambda: Album.objects.all()},  # noqa: PLW0108 - when it is called
        {"items": lambda: list(Album.objects.all()), "model": Album},
        {"items": lambda: Album.objects.values_list("pk", flat=True)},
    ],
    ids=["a queryset", "objects of a model", "plain values"],
)
def test_what_a_render_loads_anew_is_listed_once(
    declare: Any, templates: Any, trips: RoundTrips, options: dict[str, Any]
) -> None:
    templates({"x.html": ""})
    album = Album.objects.create(title="x", artist=Artist.objects.create(name="Nina"))

    @declare("x.html", name="library.album", **options)
    def fragment(album: Any) -> dict[str, Any]:
        return {}

    warm(fragment)
    with elsewhere():
        invalidate_all(fragment)
        invalidate(fragment, album.pk)
    trips.clear()

    assert counted(warm(fragment)) == all_stored(1)
    assert len(trips.of("get_many")) == 2, "heads and tokens once, and an entry read back"
