"""What a run renders, stores and publishes; and what it leaves alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import translation

from fragcache import (
    Fragment,
    digests,
    get_fragment,
    get_fragments,
    invalidate,
    invalidate_all,
    manifest,
    slots,
)
from fragcache.events import Event
from fragcache.store import store
from fragcache.warming import Plan, Run, Status
from tests.fixtures import Clock, RoundTrips, Trip, any_cache, elsewhere, happened
from tests.library.models import Album, Artist
from tests.warming import (
    A_SECOND,
    all_fresh,
    all_stored,
    counted,
    partly_rendered,
    shared_caches,
    warm,
)

pytestmark = pytest.mark.django_db

TEMPLATES = {
    "album.html": "{% include 'frame.html' %}{% include kind %}{{ album.title }}",
    "frame.html": "<hr>",
    "long.html": "LP",
    "short.html": "EP",
}


@dataclass
class Shelf:
    """Three albums: two of the first artist, of which one is short, and one of the second."""

    alias: str
    card: Fragment
    albums: list[Album]
    write_templates: Callable[[dict[str, str]], None]
    #: Under which keys the first run stored the albums' entries and heads.
    entries: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()

    def change(self, model: Any, row: Any, **values: Any) -> None:
        """As another process would: objects in memory stay as they are."""
        type(row)._default_manager.filter(pk=row.pk).update(**values)

    def move_mtime(self, row: Album | Artist, by: Any = A_SECOND) -> None:
        type(row)._default_manager.filter(pk=row.pk).update(updated_at=row.updated_at + by)

    def evict(self, key: str) -> None:
        caches[self.alias].delete(key)

    def alter(self, key: str) -> None:
        data = caches[self.alias].get(key)
        caches[self.alias].set(key, data[:-1] + bytes([data[-1] ^ 1]))

    def deploy(self, **templates: str) -> None:
        """Restart with other templates."""
        self.write_templates({f"{name}.html": source for name, source in templates.items()})

    def revise(self) -> None:
        self.card.revision = 2
        digests.forget()


@pytest.fixture
def shelf(
    cache_alias: str, declare: Any, templates: Any, renders: list[int], artists: list[Artist]
) -> Shelf:
    templates(TEMPLATES)
    nina, ella = artists
    albums = [
        Album.objects.create(title=title, artist=artist)
        for title, artist in (("Pastel Blues", nina), ("Live", nina), ("Lullabies", ella))
    ]

    @declare(
        "album.html",
        name="library.album",
        items=Album.objects.select_related("artist").all,
        version=["updated_at", "artist__updated_at"],
        stamped=True,
    )
    def album(album: Album) -> dict[str, Any]:
        renders.append(album.pk)
        return {"album": album, "kind": "short.html" if album.title == "Live" else "long.html"}

    return Shelf(cache_alias, album, albums, templates)


@pytest.fixture
def warm_shelf(shelf: Shelf, trips: RoundTrips, renders: list[int]) -> Shelf:
    """The shelf after a first run."""
    warm(shelf.card)
    shelf.entries = trips.of("store_many")[0].keys
    shelf.heads = trips.of("advance_many")[0].keys
    renders.clear()
    trips.clear()
    return shelf


#: By what happens after the first run: the positions of the albums that the next one renders.
CHANGES: dict[str, tuple[Callable[[Shelf], object], list[int]]] = {
    "nothing": (lambda shelf: None, []),
    "an mtime": (lambda shelf: shelf.move_mtime(shelf.albums[1]), [1]),
    "an mtime that goes back": (
        lambda shelf: shelf.move_mtime(shelf.albums[1], -A_SECOND),
        [1],
    ),
    "a related mtime": (lambda shelf: shelf.move_mtime(shelf.albums[0].artist), [0, 1]),
    "a change without an mtime": (
        lambda shelf: Album.objects.filter(pk=shelf.albums[0].pk).update(title="Other"),
        [],
    ),
    "the name invalidated": (lambda shelf: invalidate_all(shelf.card), [0, 1, 2]),
    "a stamp invalidated": (lambda shelf: invalidate(shelf.card, shelf.albums[2]), [2]),
    "an entry evicted": (lambda shelf: shelf.evict(shelf.entries[0]), [0]),
    "a head evicted": (lambda shelf: shelf.evict(shelf.heads[2]), [2]),
    "a head altered": (lambda shelf: shelf.alter(shelf.heads[1]), [1]),
    "another's head in its place": (
        lambda shelf: caches[shelf.alias].set(
            shelf.heads[1], caches[shelf.alias].get(shelf.heads[0])
        ),
        [1],
    ),
    "the template": (lambda shelf: shelf.deploy(album="{{ album }}"), [0, 1, 2]),
    "what the template includes": (lambda shelf: shelf.deploy(frame="<br>"), [0, 1, 2]),
    "what a variable includes": (lambda shelf: shelf.deploy(short="Single"), [1]),
    "a template of nobody": (lambda shelf: shelf.deploy(other="!"), []),
    "the revision": (Shelf.revise, [0, 1, 2]),
    "a release and back": (
        lambda shelf: (shelf.deploy(frame="<br>"), warm(shelf.card), shelf.deploy(frame="<hr>")),
        [],
    ),
    "a row deleted": (lambda shelf: shelf.albums[2].delete(), []),
    "a row added": (
        lambda shelf: Album.objects.create(
            pk=shelf.albums[2].pk + 1, title="New", artist=shelf.albums[0].artist
        ),
        [3],
    ),
}


class TestWhatIsRendered:
    @shared_caches
    def test_the_first_run_stores_everything_and_the_second_renders_nothing(
        self, shelf: Shelf, renders: list[int]
    ) -> None:
        report = warm(shelf.card)
        assert (report.status, counted(report)) == (Status.OK, all_stored(3))

        report = warm(shelf.card)
        assert (report.status, counted(report)) == (Status.OK, all_fresh(3))
        assert renders == [album.pk for album in shelf.albums]

    @shared_caches
    def test_a_page_finds_what_was_warmed(self, warm_shelf: Shelf, renders: list[int]) -> None:
        pks = [album.pk for album in warm_shelf.albums]

        assert get_fragments(warm_shelf.card, pks) == [
            "<hr>LPPastel Blues",
            "<hr>EPLive",
            "<hr>LPLullabies",
        ]
        assert renders == []

    @shared_caches
    @pytest.mark.parametrize("change", CHANGES)
    def test_exactly_what_changed_is_rendered(
        self, warm_shelf: Shelf, renders: list[int], change: str
    ) -> None:
        makes, expected = CHANGES[change]
        first = warm_shelf.albums[0].pk
        makes(warm_shelf)
        renders.clear()

        report = warm(warm_shelf.card)

        assert [pk - first for pk in renders] == expected
        assert counted(report) == partly_rendered(len(expected), Album.objects.count())
        renders.clear()
        warm(warm_shelf.card)
        assert renders == []

    @any_cache
    def test_force_renders_what_is_fresh(self, warm_shelf: Shelf) -> None:
        assert counted(warm(warm_shelf.card, force=True)) == all_stored(3)
        assert counted(warm(warm_shelf.card)) == all_fresh(3)

    @any_cache
    @pytest.mark.parametrize("short", [{}, {"short.html": "{% if %}"}], ids=["gone", "broken"])
    def test_an_included_template_that_is_lost_makes_stale_just_what_included_it(
        self,
        warm_shelf: Shelf,
        settings: Any,
        caplog: pytest.LogCaptureFixture,
        short: dict[str, str],
    ) -> None:
        engine = settings.TEMPLATES[0]
        loaders = engine["OPTIONS"]["loaders"]
        kept = {name: source for name, source in TEMPLATES.items() if name != "short.html"}
        loaders[0][1][0] = ("django.template.loaders.locmem.Loader", kept | short)
        settings.TEMPLATES = [engine]

        report = warm(warm_shelf.card)

        assert counted(report) == {"planned": 3, "fresh": 2, "failed": 1}

    @shared_caches
    def test_a_fragment_without_version_is_rendered_at_every_run(
        self, cache_alias: str, unversioned: Fragment, renders: list[str]
    ) -> None:
        for run in (1, 2):
            assert counted(warm(unversioned)) == all_stored(2)
            assert renders == ["a", "b"] * run
        assert get_fragments(unversioned, ["a", "b"]) == ["<a>", "<b>"]
        assert len(renders) == 4

    @any_cache
    def test_what_fails_or_is_refused_is_tried_again_at_the_next_run(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shelf.deploy(short="")  # does not matter
        album = shelf.albums[1]
        Album.objects.filter(pk=album.pk).update(title="&" * 100)  # five times that in HTML
        backend = caches[shelf.alias]
        monkeypatch.setattr(backend, "max_value_bytes", 500)
        first = counted(warm(shelf.card))
        monkeypatch.undo()

        assert first == {"planned": 3, "rendered": 3, "stored": 2, "refused": 1}
        assert counted(warm(shelf.card)) == partly_rendered(1, 3)


@pytest.fixture
def unversioned(declare: Any, templates: Any, renders: list[str]) -> Fragment:
    templates({"x.html": "<{{ name }}>"})

    @declare("x.html", name="library.unversioned", items=["a", "b"])
    def fragment(name: str) -> dict[str, Any]:
        renders.append(name)
        return {"name": name}

    return fragment


@dataclass
class Numbers:
    """A fragment of numbers; its versions are what a test says, on this machine's clock."""

    fragment: Fragment
    versions: dict[int, int]


@pytest.fixture
def numbers(declare: Any, templates: Any, renders: list[int]) -> Numbers:
    templates({"n.html": "{{ n }}"})
    versions: dict[int, int] = {}

    @declare(
        "n.html",
        name="library.number",
        items=lambda: list(versions),
        version=lambda n: versions[n],
        max_age=1000,
    )
    def number(n: int) -> dict[str, Any]:
        renders.append(n)
        return {"n": n}

    return Numbers(number, versions)


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestMaxAge:
    def test_entries_of_one_moment_do_not_all_end_at_once(
        self, numbers: Numbers, clock: Clock
    ) -> None:
        """They are renewed over the last fifth of their max_age, each at a time of its own."""
        numbers.versions.update(dict.fromkeys(range(200), 1))
        warm(numbers.fragment)
        clock.step(795)
        assert warm(numbers.fragment).totals.rendered == 0

        renewed = []
        for _ in range(10):
            clock.step(20.5)
            renewed.append(warm(numbers.fragment).totals.rendered)

        assert sum(renewed) == 200
        assert max(renewed) < 50, renewed
        assert min(renewed) > 5, renewed

    def test_runs_in_between_do_not_carry_an_entry_past_it(
        self, numbers: Numbers, clock: Clock
    ) -> None:
        numbers.versions[1] = 1
        warm(numbers.fragment)
        rendered = 0
        for _ in range(20):
            clock.step(100)
            rendered += warm(numbers.fragment).totals.rendered

        assert rendered == 2

    def test_none_is_for_ever(self, numbers: Numbers, clock: Clock) -> None:
        numbers.fragment.max_age = None
        numbers.versions[1] = 1
        warm(numbers.fragment)
        clock.step(10 * 365 * 86400)

        assert counted(warm(numbers.fragment)) == all_fresh(1)

    def test_without_one_it_is_seven_time_outs(self, numbers: Numbers, clock: Clock) -> None:
        del numbers.fragment.max_age
        numbers.fragment.timeout = 1000
        numbers.versions[1] = 1
        warm(numbers.fragment)
        clock.step(0.8 * 7000 - 10)
        assert counted(warm(numbers.fragment)) == all_fresh(1)
        clock.step(0.2 * 7000 + 11)
        assert counted(warm(numbers.fragment)) == all_stored(1)


class TestHeads:
    @shared_caches
    def test_a_head_that_is_ahead_of_the_database_is_corrected(
        self, cache_alias: str, numbers: Numbers, clock: Clock
    ) -> None:
        """A restore took the data back, and the head was made by a clock that is ahead."""
        numbers.versions[1] = 2
        clock.step(4)
        warm(numbers.fragment)
        clock.step(-4)
        numbers.versions[1] = 1

        assert counted(warm(numbers.fragment)) == all_stored(1)
        assert counted(warm(numbers.fragment)) == all_fresh(1)

    @shared_caches
    def test_a_head_that_moved_during_the_render_is_not_put_back(
        self, cache_alias: str, declare: Any, templates: Any, clock: Clock
    ) -> None:
        templates({"n.html": "{{ n }}"})
        state = {"version": 1, "is_nested": False}

        @declare("n.html", name="library.n", items=[1], version=lambda n: state["version"])
        def fragment(n: int) -> dict[str, Any]:
            if not state["is_nested"]:  # another process is quicker, with newer data
                state.update(version=2, is_nested=True)
                clock.step(2)
                warm(fragment)
                clock.step(-2)
            return {"n": n}

        warm(fragment)

        assert counted(warm(fragment)) == all_fresh(1)

    @shared_caches
    def test_an_invalidation_during_the_render_is_not_undone(
        self, cache_alias: str, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        templates({"n.html": "{{ n }}"})

        @declare("n.html", name="library.n", items=[1], version=lambda n: 1)
        def fragment(n: int) -> dict[str, Any]:
            renders.append(n)
            if len(renders) == 1:
                with elsewhere():
                    invalidate_all(fragment)
            return {"n": n}

        warm(fragment)
        assert get_fragment(fragment, 1) == "1"
        assert renders == [1, 1], "made under the old token, it is not shown as fresh"
        assert counted(warm(fragment)) == all_stored(1)
        assert counted(warm(fragment)) == all_fresh(1)

    @shared_caches
    def test_what_the_cache_refuses_gets_no_head_and_is_counted(
        self, shelf: Shelf, trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shelf.deploy(short="x" * 5000)
        monkeypatch.setattr(caches[shelf.alias], "max_value_bytes", 2000)

        report = warm(shelf.card)

        assert counted(report) == {"planned": 3, "rendered": 3, "stored": 2, "refused": 1}
        assert report.status is Status.FAILED
        entries, heads = trips.of("store_many")[0].keys, trips.of("advance_many")[0].keys
        assert [len(entries), len(heads)] == [3, 2]
        assert entries[1] not in caches[shelf.alias]
        assert happened(Event.REFUSED, "library.album") == 1
        assert happened(Event.STORED, "library.album") == 2

    @shared_caches
    def test_what_the_cache_refuses_leaves_the_former_entry_to_targets(
        self, warm_shelf: Shelf, trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        former = caches[warm_shelf.alias].get(warm_shelf.heads[1])
        warm_shelf.move_mtime(warm_shelf.albums[1])
        Album.objects.filter(pk=warm_shelf.albums[1].pk).update(title="x" * 90)
        monkeypatch.setattr(caches[warm_shelf.alias], "max_value_bytes", 240)

        assert warm(warm_shelf.card).totals.refused == 1
        assert caches[warm_shelf.alias].get(warm_shelf.heads[1]) == former
        assert warm_shelf.entries[1] in caches[warm_shelf.alias]
        assert [trip for trip in trips if trip.timeout == slots.SUPERSEDED_LIFE] == []

    @shared_caches
    def test_entries_are_written_before_their_heads_and_the_manifest_last(
        self, shelf: Shelf, trips: RoundTrips
    ) -> None:
        warm(shelf.card)

        *tokens, entries, heads, manifests = (trip.keys for trip in trips.writes)
        # The one reading is of a sample of what was stored.
        assert trips.commands[-4:] == ["store_many", "advance_many", "get_many", "store_many"]
        assert [len(keys) for keys in (entries, heads, manifests)] == [3, 3, 1]
        assert all("#" in key for keys in tokens for key in keys)
        assert all("@" in key for key in heads)
        assert manifests[0].endswith("!manifest")

    @shared_caches
    @pytest.mark.parametrize(
        ("options", "life"),
        [
            ({}, 60),
            ({"stale_while_revalidate": 600}, 600),
            ({"stale_if_error": 900, "stale_while_revalidate": 600}, 900),
        ],
    )
    def test_a_superseded_entry_is_kept_as_long_as_it_may_be_served(
        self, warm_shelf: Shelf, trips: RoundTrips, options: dict[str, int], life: int
    ) -> None:
        for option, seconds in options.items():
            setattr(warm_shelf.card, option, seconds)
        warm_shelf.move_mtime(warm_shelf.albums[1])
        warm(warm_shelf.card)

        touched = trips.of("touch_many")[-1]
        assert touched == Trip("touch_many", (warm_shelf.entries[1],), life)

    @pytest.mark.parametrize("cache_alias", ["redis", "embedded"], indirect=True)
    def test_a_superseded_entry_is_gone_after_its_life(
        self, warm_shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slots, "SUPERSEDED_LIFE", 0.001)
        warm_shelf.move_mtime(warm_shelf.albums[1])
        warm(warm_shelf.card)
        time.sleep(0.01)

        kept = [key in caches[warm_shelf.alias] for key in warm_shelf.entries]
        assert kept == [True, False, True]


class TestLives:
    @shared_caches
    def test_a_run_extends_the_lives_of_what_is_fresh(
        self, warm_shelf: Shelf, trips: RoundTrips
    ) -> None:
        warm_shelf.card.timeout, warm_shelf.card.stale_if_error = 1000, 50
        warm(warm_shelf.card)

        assert trips.writes[:1] == [Trip("touch_many", warm_shelf.entries, 1050)]

    def test_an_entry_that_is_warmed_in_time_does_not_expire(
        self, redis_url: str, settings: Any, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "redis"}
        caches["redis"].clear()
        templates({"n.html": "{{ n }}"})

        @declare("n.html", name="library.n", items=[1], version=lambda n: 1, timeout=100)
        def fragment(n: int) -> dict[str, Any]:
            return {"n": n}

        warm(fragment)
        [key] = [key for key in caches["redis"].keys("fc1:library.n:*") if "@" not in key]
        caches["redis"].expire(key, 5)
        warm(fragment)

        assert 90 < caches["redis"].ttl(key) <= 100


@shared_caches
class TestAllOfThem:
    def test_choices_times_axis_values_are_warm(
        self,
        cache_alias: str,
        settings: Any,
        declare: Any,
        templates: Any,
        renders: list[Any],
        artists: list[Artist],
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
        templates({"x.html": "{{ language }} {{ variant }} {{ artist }}"})

        @declare(
            "x.html",
            name="library.x",
            items=Artist.objects.all,
            version="updated_at",
            choices={"variant": ["row", "full"], "size": [1, 2]},
        )
        def fragment(artist: Artist, size: int, variant: str = "full") -> dict[str, Any]:
            language = translation.get_language()
            renders.append((artist.pk, size, variant, language))
            return {"artist": artist, "variant": variant, "language": language}

        assert counted(warm(fragment)) == all_stored(2 * 3 * 4)
        assert len(set(renders)) == len(renders)
        renders.clear()
        assert counted(warm(fragment)) == all_fresh(2 * 3 * 4)
        for language in ("en", "de", "fr"):
            with translation.override(language):
                html = get_fragments(fragment, artists, variant="row", size=2)
                assert html == [f"{language} row Nina", f"{language} row Ella"]
        assert renders == []

    def test_the_site_axis_walks_all_sites(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        from django.contrib.sites.models import Site

        Site.objects.create(pk=7, domain="seven.example", name="Seven")
        templates({"x.html": "{{ site }}"})

        @declare("x.html", name="library.x", vary_on=["site"], version=lambda: 1)
        def fragment() -> dict[str, Any]:
            return {"site": Site.objects.get_current()}

        assert counted(warm(fragment)) == all_stored(2)
        assert counted(warm(fragment, axis_values={"site": [7]})) == all_fresh(1)


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestPartsOfARun:
    def test_a_dry_run_counts_what_is_due_and_writes_nothing(
        self, warm_shelf: Shelf, trips: RoundTrips, renders: list[int]
    ) -> None:
        warm_shelf.move_mtime(warm_shelf.albums[1])
        warm_shelf.evict(warm_shelf.entries[0])
        trips.clear()

        report = warm(warm_shelf.card, dry=True)

        assert counted(report) == {"planned": 3, "fresh": 1}
        assert report.totals.due == 2
        assert (renders, trips.writes) == ([], [])

    def test_a_dry_run_over_an_empty_cache_writes_no_token(
        self, shelf: Shelf, trips: RoundTrips
    ) -> None:
        assert warm(shelf.card, dry=True).totals.due == 3
        assert trips.writes == []

    def test_whoever_asks_is_told_of_what_is_due(self, warm_shelf: Shelf) -> None:
        warm_shelf.move_mtime(warm_shelf.albums[1])
        told: list[Any] = []
        plan = Plan(fragments=[warm_shelf.card], dry=True)
        Run(plan, on_due=lambda _fragment, due: told.append(due.arguments[0])).execute()

        assert told == [warm_shelf.albums[1].pk]

    @pytest.mark.parametrize(
        ("limit", "status", "rendered"),
        [
            (0, Status.INCOMPLETE, 0),
            (1, Status.INCOMPLETE, 1),
            (2, Status.INCOMPLETE, 2),
            (4, Status.INCOMPLETE, 4),
            (5, Status.OK, 5),
            (99, Status.OK, 5),
        ],
    )
    def test_the_limit_is_of_renders_over_all_fragments(
        self, shelf: Shelf, unversioned: Fragment, limit: int, status: Status, rendered: int
    ) -> None:
        report = warm(unversioned, shelf.card, limit=limit, batch_size=2)

        assert (report.status, report.totals.rendered) == (status, rendered)
        assert report.totals.stored == rendered

    def test_limited_runs_get_everything_warm_in_the_end(self, shelf: Shelf) -> None:
        for number in (1, 2, 3):
            assert warm(shelf.card, limit=1, batch_size=2).totals.rendered == 1
            assert warm(shelf.card, dry=True).totals.due == 3 - number
        assert warm(shelf.card, limit=0).status is Status.OK

    def test_a_failure_is_not_hidden_by_the_limit(
        self, shelf: Shelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        shelf.deploy(long="{% include nothing %}")

        assert warm(shelf.card, limit=1).status is Status.FAILED

    def test_a_run_that_is_stopped_finishes_its_batch(
        self, numbers: Numbers, renders: list[int]
    ) -> None:
        numbers.versions.update(dict.fromkeys(range(10), 1))
        plan = Plan(fragments=[numbers.fragment], batch_size=3)

        report = Run(plan, is_stopped=lambda: len(renders) > 3).execute()

        assert report.status is Status.INTERRUPTED
        assert counted(report) == all_stored(6)
        assert counted(warm(numbers.fragment)) == partly_rendered(4, 10)

    def test_a_run_that_is_stopped_and_has_failures_is_interrupted(
        self, shelf: Shelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        shelf.deploy(long="{% include nothing %}")
        walked: list[int] = []
        report = Run(
            Plan(fragments=[shelf.card], batch_size=1),
            after_batch=lambda _fragment, number: walked.append(number),
            is_stopped=lambda: bool(walked),
        ).execute()

        assert (report.status, report.totals.failed) == (Status.INTERRUPTED, 1)

    def test_a_run_that_is_stopped_before_it_begins_renders_nothing(self, shelf: Shelf) -> None:
        report = Run(Plan(fragments=[shelf.card]), is_stopped=lambda: True).execute()

        assert (report.status, report.totals.rendered) == (Status.INTERRUPTED, 0)

    def test_batches_are_announced_in_all_axis_values(
        self, numbers: Numbers, settings: Any
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
        numbers.versions.update(dict.fromkeys(range(5), 1))
        walked = []
        plan = Plan(fragments=[numbers.fragment], batch_size=3)
        Run(plan, after_batch=lambda _fragment, number: walked.append(number)).execute()

        assert walked == [3, 3, 2, 2]


#: By the part of the plan that is not the whole: whether targets are told of a new digest.
PLANS: dict[str, tuple[dict[str, Any], bool]] = {
    "everything": ({}, True),
    "everything, by force": ({"force": True}, True),
    "in small batches": ({"batch_size": 1}, True),
    "within a limit": ({"limit": 3}, True),
    "a dry run": ({"dry": True}, False),
    "to a limit": ({"limit": 2}, False),
    "some items": ({"only": ["1"]}, False),
    "one language": ({"axis_values": {"language": ["en-us"]}}, False),
}


@any_cache
@pytest.mark.usefixtures("cache_alias")
class TestManifest:
    @pytest.mark.parametrize("plan", PLANS)
    def test_it_is_published_after_a_whole_run_only(self, shelf: Shelf, plan: str) -> None:
        options, is_published = PLANS[plan]
        warm(shelf.card, **options)

        assert (manifest.find(store(), "library.album") is not None) is is_published

    def test_targets_keep_to_the_old_digest_until_all_of_the_new_one_is_warm(
        self, warm_shelf: Shelf
    ) -> None:
        def published() -> str:
            manifest._remembered.clear()
            found = manifest.find(store(), "library.album")
            assert found is not None
            return found.digest

        old = published()
        warm_shelf.deploy(frame="<br>")
        warm(warm_shelf.card, limit=2)
        assert published() == old
        warm(warm_shelf.card)
        assert published() == digests.digest_of(warm_shelf.card) != old

    def test_a_stopped_run_publishes_nothing(self, shelf: Shelf) -> None:
        Run(Plan(fragments=[shelf.card], batch_size=2), is_stopped=lambda: True).execute()

        assert manifest.find(store(), "library.album") is None

    def test_a_run_whose_items_fail_half_way_publishes_nothing(
        self, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"n.html": "{{ n }}"})

        def items() -> Any:
            yield 1
            raise ValueError("no more")

        @declare("n.html", name="library.n", items=items, version=lambda n: 1)
        def fragment(n: int) -> dict[str, Any]:
            return {"n": n}

        assert warm(fragment, batch_size=1).status is Status.FAILED
        assert manifest.find(store(), "library.n") is None

    def test_one_instance_that_fails_does_not_keep_targets_from_the_rest(
        self, shelf: Shelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        shelf.deploy(short="{% include nothing %}")

        assert warm(shelf.card).status is Status.FAILED
        assert manifest.find(store(), "library.album") is not None
