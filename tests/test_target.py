"""A target: a site that only reads what another one, whose models it lacks, has warmed."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.template import engines
from django.test import override_settings
from django.utils import timezone, translation

from fragcache import (
    Fragment,
    FragmentMissing,
    InvalidArguments,
    ReadOnly,
    UnknownFragment,
    get_fragment,
    get_fragments,
    invalidate_all,
    manifest,
)
from fragcache.digests import digest_of
from fragcache.events import Event
from fragcache.store import store
from fragcache.warming import Plan, Run, Status
from tests.fixtures import Clock, RoundTrips, any_cache, happened, on_target, warm
from tests.library.models import Artist, Note

pytestmark = pytest.mark.django_db
CARD = "library.artist_card"


@pytest.fixture
def card_on_target(cache_alias: str, artist_card: Fragment, artists: list[Artist]) -> Iterator[str]:
    """The name of a fragment that was warmed before this site became a target."""
    warm(artist_card)
    with on_target(CARD):
        yield CARD


class TestReading:
    def test_shows_what_the_source_has_warmed(
        self, card_on_target: str, artists: list[Artist], renders: list[int]
    ) -> None:
        renders.clear()

        html = get_fragments(CARD, [artist.pk for artist in artists])

        assert html == ["<b>Nina</b>", "<b>Ella</b>"]
        assert renders == []
        assert happened(Event.HIT, CARD) == 2
        assert happened(Event.STALE_SERVED, CARD) == 0

    @pytest.mark.parametrize("form", [int, str, lambda pk: f" {pk}"], ids=["12", "'12'", "' 12'"])
    def test_takes_keys_in_any_form(
        self, card_on_target: str, artists: list[Artist], form: Any
    ) -> None:
        assert get_fragment(CARD, form(artists[0].pk)) == "<b>Nina</b>"

    def test_needs_no_database(
        self, card_on_target: str, artists: list[Artist], django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            get_fragment(CARD, artists[0].pk)

    def test_writes_nothing(
        self, card_on_target: str, artists: list[Artist], trips: RoundTrips
    ) -> None:
        get_fragment(CARD, artists[0].pk)
        get_fragment(CARD, 0, default=None)
        get_fragment("library.unknown", 0, default=None)
        store().backend.delete_many(trips[0].keys)  # the manifest
        trips.clear()
        get_fragment(CARD, artists[0].pk, default=None)

        assert trips.writes == []

    def test_writes_nothing_where_tokens_are_lost(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(artist_card)
        store().delete_many(trips.of("add_many")[0].keys)
        with on_target(CARD):
            trips.clear()
            assert get_fragment(CARD, artists[0].pk) == "<b>Nina</b>"

        assert trips.writes == []

    def test_costs_two_round_trips_once_the_manifest_is_known(
        self, card_on_target: str, artists: list[Artist], trips: RoundTrips
    ) -> None:
        get_fragment(CARD, artists[0].pk)
        trips.clear()

        get_fragments(CARD, [artist.pk for artist in artists])

        assert trips.commands == ["get_many", "get_many"]

    @any_cache
    def test_takes_uuids(self, cache_alias: str, declare: Any, templates: Any) -> None:
        templates({"x.html": "{{ note }}"})
        note = Note.objects.create(text="Feeling good")

        @declare("x.html", name="library.note", items=Note.objects.all)
        def x(note: Note) -> dict[str, Any]:
            return {"note": note}

        warm(x)
        with on_target("library.note"):
            for given in (note.pk, str(note.pk), note.pk.hex):
                assert get_fragment("library.note", given) == "Feeling good"
            assert get_fragment("library.note", uuid.uuid4(), default=None) is None

    @any_cache
    def test_knows_defaults_and_keyword_arguments(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist }} {{ variant }} {{ moment|date:'Y' }} {{ size }}"})
        new_year = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

        @declare(
            "x.html",
            name="library.variants",
            items=Artist.objects.all,
            version="updated_at",
            choices={"variant": ["row", "full"]},
        )
        def x(
            artist: Artist,
            variant: str = "full",
            moment: dt.datetime = new_year,
            size: float | None = None,
        ) -> dict[str, Any]:
            return {"artist": artist, "variant": variant, "moment": moment, "size": size}

        warm(x)
        pk = artists[0].pk
        with on_target("library.variants"):
            assert get_fragment("library.variants", pk) == "Nina full 2026 None"
            assert get_fragment("library.variants", pk, "row") == "Nina row 2026 None"
            assert get_fragment("library.variants", artist=pk, variant="row")
            assert get_fragment("library.variants", pk, moment=new_year, size=None)
            assert get_fragment("library.variants", pk, size=1.5, default=None) is None
            with pytest.raises(InvalidArguments, match=r"no parameter 'varaint'\. Did you mean"):
                get_fragment("library.variants", pk, varaint="row")
            with pytest.raises(InvalidArguments, match="'Nina' is not a primary key"):
                get_fragment("library.variants", "Nina")

    @pytest.mark.parametrize(
        ("args", "kwargs"), [((1,), {"varaint": "row"}), (("Nina",), {}), ((), {})]
    )
    @any_cache
    def test_of_what_does_not_fit_the_manifest_gives_the_default(
        self,
        card_on_target: str,
        settings: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A new release of the source must not be an outage of the target."""
        assert get_fragment(CARD, *args, default=None, **kwargs) is None
        assert "than this site expects: InvalidArguments." in caplog.text
        assert "Nina" not in caplog.text
        assert happened(Event.ABSENT, CARD) > 0
        settings.DEBUG = True
        with pytest.raises(InvalidArguments):
            get_fragment(CARD, *args, default=None, **kwargs)

    @any_cache
    def test_has_the_axes_that_the_manifest_names(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any
    ) -> None:
        settings.LANGUAGES = [("en-us", "English"), ("de", "German")]
        templates({"x.html": "{{ price }}"})

        @declare("x.html", name="library.price", vary_on=["-time_zone"])
        def x() -> dict[str, Any]:
            return {"price": 1.5}

        warm(x)
        with on_target("library.price"):
            with timezone.override("Asia/Tokyo"):
                assert get_fragment("library.price") == "1.5"
            with translation.override("de"):
                assert get_fragment("library.price") == "1,5"
            with translation.override("fr"):
                assert get_fragment("library.price", default=None) is None

    @any_cache
    def test_lacks_the_templates_that_a_variable_chose(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{% include kind %}", "long.html": "LP"})

        @declare("x.html", name="library.kind")
        def x() -> dict[str, Any]:
            return {"kind": "long.html"}

        warm(x)
        lacking = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
        with on_target("library.kind"), override_settings(TEMPLATES=lacking):
            assert get_fragment("library.kind") == "LP"
        assert happened(Event.HIT, "library.kind") == 1


class TestMissing:
    @any_cache
    def test_instance_raises_or_is_the_default(self, card_on_target: str) -> None:
        with pytest.raises(FragmentMissing) as raised:
            get_fragment(CARD, "0")
        assert str(raised.value) == (
            "library.artist_card('0') is not in the cache, and this site cannot render it: run "
            "warm_fragments on the source, or pass default=."
        )
        assert get_fragment(CARD, "0", default=None) is None
        assert get_fragments(CARD, ["0", "-1"], default="-") == ["-", "-"]

    @any_cache
    def test_fragment_raises_or_is_the_default(self, card_on_target: str) -> None:
        with pytest.raises(FragmentMissing) as raised:
            get_fragment("library.unknown", "0")
        assert str(raised.value) == (
            "No source has published a fragment called 'library.unknown' in this cache: run "
            "warm_fragments on the source, and see that both sites have one KEY_PREFIX and the "
            "same SECRET_KEYS."
        )
        assert get_fragments("library.unknown", ["0", "-1"], default="-") == ["-", "-"]

    @any_cache
    def test_prints_nothing_in_templates(self, card_on_target: str, artists: list[Artist]) -> None:
        source = (
            "{% load fragcache %}({% fragment 'library.artist_card' 0 %}"
            "{% fragment 'library.unknown' 0 %}{% fragments 'library.artist_card' pks %})"
        )
        html = engines["django"].from_string(source).render({"pks": [artists[0].pk, 0]})

        assert html == "(<b>Nina</b>)"

    @any_cache
    def test_is_counted(self, card_on_target: str) -> None:
        get_fragment(CARD, 0, default=None)

        assert happened(Event.MISSING, CARD) == 1

    @any_cache
    def test_name_is_an_error_where_a_site_declares_its_own(
        self, cache_alias: str, artist_card: Fragment
    ) -> None:
        """A site that writes is no target: a wrong name there is a typo."""
        with pytest.raises(UnknownFragment):
            get_fragment("library.unknown", 0, default=None)

    @any_cache
    def test_cannot_be_written(self, cache_alias: str, artist_card: Fragment) -> None:
        with (
            override_settings(FRAGCACHE={"CACHE_ALIAS": cache_alias, "READ_ONLY": True}),
            pytest.raises(ReadOnly, match=r"FRAGCACHE\['READ_ONLY'\] is set: nothing is written"),
        ):
            invalidate_all(CARD)


class TestReleases:
    """Which digest a target follows."""

    def test_the_manifest_names_it_after_a_whole_run(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        warm(artist_card)
        old = digest_of(artist_card)
        templates({"artist_card.html": "<i>{{ artist.name }}</i>"})
        assert digest_of(artist_card) != old
        pks = [artist.pk for artist in artists]

        runs = {
            "dry": Plan(fragments=[artist_card], dry=True),
            "limited": Plan(fragments=[artist_card], limit=1),
            "of one item": Plan(fragments=[artist_card], only=[str(pks[0])]),
            "of one axis value": Plan(fragments=[artist_card], axis_values={"language": ["en-us"]}),
        }
        for kind, plan in runs.items():
            Run(plan).execute()
            with on_target(CARD):
                assert get_fragments(CARD, pks) == ["<b>Nina</b>", "<b>Ella</b>"], kind

        warm(artist_card)
        with on_target(CARD):
            assert get_fragments(CARD, pks) == ["<i>Nina</i>", "<i>Ella</i>"]

    @any_cache
    def test_an_interrupted_run_does_not_name_it(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        warm(artist_card)
        templates({"artist_card.html": "<i>{{ artist.name }}</i>"})
        run = Run(Plan(fragments=[artist_card], batch_size=1), is_stopped=lambda: True)

        assert run.execute().status is Status.INTERRUPTED
        with on_target(CARD):
            assert get_fragment(CARD, artists[1].pk) == "<b>Ella</b>"

    @any_cache
    def test_a_target_that_is_up_follows_within_the_lag(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        warm(artist_card)
        pk = artists[0].pk
        with on_target(CARD, INVALIDATION_LAG=0):
            assert get_fragment(CARD, pk) == "<b>Nina</b>"
            release(artist_card, templates)
            assert get_fragment(CARD, pk) == "<i>Nina</i>"

    @any_cache
    def test_a_target_that_is_up_asks_once_within_the_lag(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        warm(artist_card)
        pk = artists[0].pk
        with on_target(CARD, INVALIDATION_LAG=3600):
            assert get_fragment(CARD, pk) == "<b>Nina</b>"
            release(artist_card, templates)
            assert get_fragment(CARD, pk) == "<b>Nina</b>"


def release(fragment: Fragment, templates: Any) -> None:
    """Warm with a changed template, on the source, while this site is a target."""
    known = {**manifest._remembered._old, **manifest._remembered._young}
    with override_settings(FRAGCACHE={"CACHE_ALIAS": store().alias}):
        templates({f"{fragment.name.partition('.')[2]}.html": "<i>{{ artist.name }}</i>"})
        warm(fragment)
    manifest._remembered.keep(known)


class TestKeys:
    """SECRET_KEYS and KEY_PREFIX: who believes whom."""

    def test_other_secret_keys_are_misses_that_tell_why(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        warm(artist_card)
        with on_target(CARD, SECRET_KEYS=["another"]):
            for _read in range(2):
                assert get_fragment(CARD, artists[0].pk, default=None) is None

        assert happened(Event.UNKNOWN_KEY) == 2
        assert happened(Event.UNBELIEVED) == 0
        record, missing = caplog.records
        assert missing.message.startswith("No source has published a fragment called")
        assert (record.name, record.levelno) == ("fragcache", logging.WARNING)
        assert record.message.endswith(
            f"in the cache alias {cache_alias!r} is sealed with a key that is not in "
            'FRAGCACHE["SECRET_KEYS"]: sites that share entries must share them.'
        )

    @any_cache
    def test_the_default_ones_are_those_of_the_site(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], settings: Any
    ) -> None:
        warm(artist_card)
        former = settings.SECRET_KEY
        with on_target(CARD), override_settings(SECRET_KEY="another"):
            assert get_fragment(CARD, artists[0].pk, default=None) is None
            with override_settings(SECRET_KEY_FALLBACKS=[former]):
                assert get_fragment(CARD, artists[0].pk) == "<b>Nina</b>"

    def test_rotate_without_a_miss(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        renders: list[int],
        settings: Any,
    ) -> None:
        """The new key is accepted first, then it seals, then the old one goes."""
        phases: list[tuple[list[str], list[str]]] = [
            (["old"], ["old"]),
            (["old"], ["old", "new"]),
            (["old", "new"], ["old", "new"]),
            (["new", "old"], ["old", "new"]),
            (["new", "old"], ["new", "old"]),
            (["new"], ["new", "old"]),
            (["new"], ["new"]),
        ]
        pks = [artist.pk for artist in artists]
        for number, (of_source, of_target) in enumerate(phases):
            settings.FRAGCACHE = {"CACHE_ALIAS": cache_alias, "SECRET_KEYS": of_source}
            before = len(renders)
            html = get_fragments(artist_card, pks)
            assert len(renders) == before or number == 0, (of_source, of_target)
            warm(artist_card)
            with on_target(CARD, SECRET_KEYS=of_target):
                assert get_fragments(CARD, pks) == html == ["<b>Nina</b>", "<b>Ella</b>"]

        assert happened(Event.UNKNOWN_KEY) == 0
        assert happened(Event.STALE) == happened(Event.STALE_SERVED) == 0

    def test_another_key_prefix_is_another_cache(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], settings: Any
    ) -> None:
        warm(artist_card)
        prefixed = {**settings.CACHES[cache_alias], "KEY_PREFIX": "other"}
        other = {**settings.CACHES, cache_alias: prefixed}
        with on_target(CARD), override_settings(CACHES=other):
            assert get_fragment(CARD, artists[0].pk, default=None) is None
        assert happened(Event.UNKNOWN_KEY) == happened(Event.UNBELIEVED) == 0

    @any_cache
    def test_what_was_copied_from_another_prefix_is_not_believed(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        settings: Any,
        trips: RoundTrips,
    ) -> None:
        """One site's staging entries must not appear in production."""
        warm(artist_card)
        written = {key for trip in trips.writes for key in trip.keys}
        values = caches[cache_alias].get_many(written)
        prefixed = {**settings.CACHES[cache_alias], "KEY_PREFIX": "other"}
        with (
            on_target(CARD),
            override_settings(CACHES={**settings.CACHES, cache_alias: prefixed}),
        ):
            caches[cache_alias].set_many(values)
            assert get_fragment(CARD, artists[0].pk, default=None) is None
        assert happened(Event.UNBELIEVED) == 1


@any_cache
def test_a_stale_entry_is_shown_and_counted(
    cache_alias: str, artist_card: Fragment, artists: list[Artist], clock: Clock
) -> None:
    warm(artist_card)
    invalidate_all(artist_card)
    with on_target(CARD):
        assert get_fragment(CARD, artists[0].pk) == "<b>Nina</b>"

    assert happened(Event.STALE_SERVED, CARD) == 1
    assert happened(Event.HIT, CARD) == 0
