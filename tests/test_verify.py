"""Verifying finds every entry that is not what a render gives, and calls nothing else wrong."""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from fragcache import Fragment, get_fragment, invalidate_all
from fragcache.exceptions import CacheUnavailable
from fragcache.store import store
from fragcache.verifying import Finding, Kind, comparing
from fragcache.verifying.findings import difference
from fragcache.warming.queries import counted
from tests.fixtures import Clock, RoundTrips, any_cache, elsewhere, warm
from tests.library.models import Artist
from tests.processes import free_port
from tests.verifying import bury, found, plant, plant_in, verified

pytestmark = pytest.mark.django_db

shared_caches = pytest.mark.parametrize(
    "cache_alias", ["redis", "memcached", "embedded"], indirect=True
)


REDIS = "fragcache.backends.redis.RedisCache"
NOCACHE = "{% nocache %}{{ request.user }}{% endnocache %}"
GREETED = ["you", "me", "us"]


@pytest.fixture(autouse=True)
def no_pause(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs is rendered again at once."""
    monkeypatch.setattr(comparing, "PAUSE", 0)


@pytest.fixture
def many_artists(db: None) -> list[Artist]:
    return Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(150))


@pytest.fixture
def two_languages(settings: Any) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German")]


def only_finding(*fragments: Fragment, **options: Any) -> Finding:
    report = verified(*fragments, **options)
    [finding] = [f for verified in report.fragments.values() for f in verified.findings]
    return finding


class TestWrong:
    @shared_caches
    def test_100_of_100_planted_entries_are_found_and_nothing_else(
        self, cache_alias: str, declare: Any, templates: Any, many_artists: list[Artist]
    ) -> None:
        """T7: beside 362 that are sound, of fragments of every kind."""
        sound, planted = sow(declare, templates, many_artists)
        warm(*sound)
        assert found(verified(*sound)) == {"instances": 462, "compared": 462}

        expected = planted()
        report = verified(*sound)

        assert found(report) == {
            "instances": 462,
            "compared": 462,
            "wrong": 95,
            "outdated": 5,
        }
        findings = [f for one in report.fragments.values() for f in one.findings]
        assert {(finding.instance, finding.axes) for finding in findings} == expected
        assert len(findings) == len(expected) == 100
        assert all("-<i>wrong</i>" in finding.diff for finding in findings)

    @any_cache
    def test_a_finding_names_instance_axes_key_and_remedy_with_a_diff(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        warm(artist_card)
        nina = artists[0]
        plant(artist_card, [nina])

        finding = only_finding(artist_card)

        assert finding.kind is Kind.WRONG
        assert finding.instance == f"library.artist_card({nina.pk})"
        assert finding.axes == "language=en-us, time_zone=UTC"
        assert finding.key.startswith(":1:fc1:library.artist_card:")
        assert finding.about == "What was stored 0 s ago is not what a render gives now."
        assert "let version= cover it" in finding.remedy
        assert finding.diff.splitlines() == [
            "--- stored",
            "+++ rendered now",
            "@@ -1 +1 @@",
            "-<i>wrong</i>",
            "+<b>Nina</b>",
        ]

    @any_cache
    def test_data_that_changed_without_their_version_are_found(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        warm(artist_card)
        Artist.objects.filter(pk=artists[1].pk).update(name="Ella F.")

        finding = only_finding(artist_card)

        assert (finding.kind, finding.instance) == (
            Kind.WRONG,
            f"library.artist_card({artists[1].pk})",
        )
        assert "-<b>Ella</b>\n+<b>Ella F.</b>" in finding.diff

    @any_cache
    def test_an_entry_that_only_an_inner_one_makes_wrong_is_found(
        self, cache_alias: str, artist_card: Fragment, declare: Any, templates: Any
    ) -> None:
        """The inner fragment is rendered as well, not read."""
        templates(
            {"outer.html": "{% load fragcache %}<p>{% fragment 'library.artist_card' artist %}</p>"}
        )
        artist = Artist.objects.create(name="Nina")

        @declare("outer.html", name="library.outer", items=Artist.objects.all, version="updated_at")
        def outer(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        warm(artist_card)
        plant(artist_card, [artist])
        warm(outer)

        report = verified(outer)
        assert found(report) == {"instances": 1, "compared": 1, "wrong": 1}
        [finding] = report.fragments["library.outer"].findings
        assert "+<b>Nina</b>" in finding.diff

    @any_cache
    @pytest.mark.parametrize("happening", ["nothing", "invalidated", "old", "changed"])
    def test_what_is_missing_or_stale_is_counted_and_no_fault(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        clock: Clock,
        happening: str,
    ) -> None:
        if happening != "nothing":
            warm(artist_card)
            plant(artist_card, [artists[0]])
        if happening == "invalidated":
            invalidate_all(artist_card)
        elif happening == "old":
            clock.step(8 * 86_400)
        elif happening == "changed":
            Artist.objects.update(updated_at="2030-01-01 00:00Z")

        state = "missing" if happening == "nothing" else "stale"
        assert found(verified(artist_card)) == {"instances": 2, state: 2}

    @any_cache
    def test_an_entry_of_a_template_that_a_variable_chose_is_stale_when_that_changes(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{% include kind %}", "long.html": "LP"})

        @declare("x.html", name="library.kind", version=lambda: 1)
        def x() -> dict[str, Any]:
            return {"kind": "long.html"}

        warm(x)
        assert found(verified(x)) == {"instances": 1, "compared": 1}
        templates({"long.html": "Long player"})
        assert found(verified(x)) == {"instances": 1, "stale": 1}

    @any_cache
    def test_what_a_tombstone_buries_is_stale(
        self, cache_alias: str, greeting: Fragment, declare: Any
    ) -> None:
        @declare("greeting.html", name="library.hello", choices={"name": ["you"]})
        def hello(name: str) -> dict[str, Any]:
            return {"name": name}

        warm(hello)
        plant(hello, ["you"])
        bury(hello, "you")
        assert found(verified(hello)) == {"instances": 1, "stale": 1}

    @any_cache
    def test_what_shows_a_fragment_without_a_version_may_be_as_late_as_that(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates(
            {
                "inner.html": "{{ names }}",
                "outer.html": "{% load fragcache %}{% fragment 'library.names' %}",
            }
        )
        names = "Nina"

        @declare("inner.html", name="library.names")
        def inner() -> dict[str, Any]:
            return {"names": names}

        @declare("outer.html", name="library.outer", version=lambda: 1)
        def outer() -> dict[str, Any]:
            return {}

        warm(inner, outer)
        names = "Nina and Ella"
        assert found(verified(outer)) == {"instances": 1, "compared": 1, "outdated": 1}

    @any_cache
    @pytest.mark.parametrize("source", ["{% csrf_token %}", "{{ csrf_token }}", NOCACHE])
    def test_what_the_live_page_fills_in_is_compared_by_its_place(
        self, cache_alias: str, artists: list[Artist], declare: Any, templates: Any, source: str
    ) -> None:
        templates({"x.html": f"{{% load fragcache %}}<b>{source}</b> {{{{ artist.name }}}}"})

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        warm(x)
        assert found(verified(x)) == {"instances": 2, "compared": 2}
        plant(x, [artists[0]], f"<b></b> {artists[0].name} ")
        assert found(verified(x))["wrong"] == 1

    @any_cache
    def test_an_entry_that_has_lost_what_is_filled_in_is_wrong(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        """Its HTML is the same."""
        templates({"x.html": f"{{% load fragcache %}}<b>{NOCACHE}</b>"})

        @declare("x.html", name="library.x", version=lambda: 1)
        def x() -> dict[str, Any]:
            return {}

        warm(x)
        plant(x, [()], fields=b"")
        [finding] = verified(x).fragments["library.x"].findings
        assert finding.kind is Kind.WRONG
        assert re.search(r"\+<b>\[nocache in x.html [0-9a-f]+\]</b>", finding.diff)

    @any_cache
    def test_bytes_that_are_no_text_are_wrong(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        warm(artist_card)
        plant(artist_card, [artists[0]], b"\xff\xfe")

        assert "-\ufffd\ufffd" in only_finding(artist_card).diff

    @any_cache
    def test_an_inner_fragment_is_rendered_from_its_row_as_a_run_does(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        declare: Any,
        templates: Any,
    ) -> None:
        templates({"outer.html": "{% load fragcache %}{% fragment 'library.artist_card' artist %}"})

        @declare("outer.html", name="library.outer", items=Artist.objects.all, version="updated_at")
        def outer(artist: Artist) -> dict[str, Any]:
            artist.name = f"{artist.name} in memory"
            return {"artist": artist}

        warm(outer)
        assert found(verified(outer)) == {"instances": 2, "compared": 2}

    @any_cache
    def test_a_page_that_has_stored_an_instance_is_enough(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """An entry without a head, which pages find by its version."""
        get_fragment(artist_card, artists[0])
        plant(artist_card, [artists[0]])

        assert found(verified(artist_card)) == {
            "instances": 2,
            "compared": 1,
            "missing": 1,
            "wrong": 1,
        }

    @any_cache
    def test_a_render_that_fails_is_counted_and_logged(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        templates({"x.html": "{{ rank }}"})

        @declare("x.html", name="library.rank", items=Artist.objects.all, version="updated_at")
        def rank(artist: Artist) -> dict[str, Any]:
            return {"rank": 1 // len(artist.name.removeprefix("Nina"))}

        assert found(verified(rank)) == {"instances": 2, "missing": 1, "failed": 1}
        assert f"library.rank({artists[0].pk}) failed: ZeroDivisionError" in caplog.text

    @any_cache
    def test_a_fragment_that_cannot_be_listed_fails_alone(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], declare: Any
    ) -> None:
        @declare("artist_card.html", name="library.none", items=lambda: 1 // 0, model=Artist)
        def none(artist: Artist) -> dict[str, Any]:
            return {}

        report = verified(none, artist_card)
        assert report.fragments["library.none"].tally.failed == 1
        assert report.fragments["library.artist_card"].tally.instances == 2

    @any_cache
    def test_of_very_many_findings_all_are_counted_and_some_kept(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("fragcache.verifying.report.MOST_FINDINGS", 1)
        warm(artist_card)
        plant(artist_card, artists)

        of_cards = verified(artist_card).fragments["library.artist_card"]
        assert of_cards.tally.wrong == 2
        assert (len(of_cards.findings), of_cards.left_out) == (1, 1)


def sow(
    declare: Any, templates: Any, artists: list[Artist]
) -> tuple[list[Fragment], Callable[[], set[tuple[str, str]]]]:
    """Return sound fragments of every kind, and what plants 100 wrong entries and names them."""
    templates(
        {
            "card.html": "<b>{{ artist.name }}</b> {{ variant }}",
            "words.html": "<p>{{ word }}</p>",
            "footer.html": "<footer>{{ year }}</footer>",
        }
    )

    @declare("card.html", name="library.card", items=Artist.objects.all, version="updated_at")
    def card(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    @declare(
        "card.html",
        name="library.row",
        items=Artist.objects.all,
        version=lambda artist, variant: (artist.updated_at, artist.name),
        choices={"variant": ["row", "full"]},
    )
    def row(artist: Artist, variant: str) -> dict[str, Any]:
        return {"artist": artist, "variant": variant}

    @declare("words.html", name="library.words", items=["a", "b", "c", "d", "e"], version=len)
    def words(word: str) -> dict[str, Any]:
        return {"word": word}

    @declare("footer.html", name="library.footer", choices={"year": [2023, 2024, 2025, 2026]})
    def footer(year: int) -> dict[str, Any]:
        return {"year": year}

    @declare("words.html", name="library.greeting", items=lambda: (word for word in GREETED))
    def greeting(word: str) -> dict[str, Any]:
        return {"word": word}

    def plant_all() -> set[tuple[str, str]]:
        chance = random.Random(7)
        cards = chance.sample(artists, 50)
        rows = [(a, v) for a in artists for v in ("row", "full")]
        rows = chance.sample(rows, 40)
        years = [2023, 2026]
        plant(card, cards)
        plant(row, rows)
        plant(words, list("abcde"))
        plant(footer, years)
        plant(greeting, GREETED)
        names = [f"library.card({a.pk})" for a in cards]
        names += [f"library.row({a.pk}, {v!r})" for a, v in rows]
        names += [f"library.words({word!r})" for word in "abcde"]
        names += [f"library.footer({year})" for year in years]
        names += [f"library.greeting({word!r})" for word in GREETED]
        return {(name, "language=en-us, time_zone=UTC") for name in names}

    return [card, row, words, footer, greeting], plant_all


class TestNotDeterministic:
    @any_cache
    @pytest.mark.parametrize("is_warm", [True, False])
    def test_random_output_is_reported_as_that_and_not_as_wrong(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist], is_warm: bool
    ) -> None:
        templates({"x.html": "{{ number }}"})
        numbers = itertools.count()

        @declare("x.html", name="library.x", items=Artist.objects.all, version="updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {"number": next(numbers)}

        if is_warm:
            warm(x)
        report = verified(x)

        state = {"compared": 2} if is_warm else {"missing": 2}
        assert found(report) == {"instances": 2, "not_deterministic": 2, **state}
        finding = report.fragments["library.x"].findings[0]
        assert finding.about == "Two renders in a row of the same data differ."
        assert "CSRF" in finding.remedy
        assert finding.diff.startswith("--- one render\n+++ another render")

    @any_cache
    def test_output_of_the_second_it_is_rendered_in_is_told_apart(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(comparing, "PAUSE", 1.1)
        templates({"x.html": "{% now 'H:i:s' %}"})

        @declare("x.html", name="library.clock", version=lambda: 1)
        def x() -> dict[str, Any]:
            return {}

        warm(x)
        time.sleep(1.1)
        assert found(verified(x)) == {"instances": 1, "compared": 1, "not_deterministic": 1}

    @any_cache
    def test_output_that_differs_by_chance_is_rendered_several_times(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ side }}"})
        sides = iter("HTTTTHT")

        @declare("x.html", name="library.coin", version=lambda: 1)
        def x() -> dict[str, Any]:
            return {"side": next(sides)}

        warm(x)
        assert found(verified(x)) == {"instances": 1, "compared": 1, "not_deterministic": 1}


class TestConcurrentChanges:
    """What changes while it is looked at is no false alarm."""

    @pytest.fixture
    def changing(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> Callable[..., Fragment]:
        templates({"x.html": "{{ name }}"})

        def make(
            changes: int, items: Any = Artist.objects.all, *, is_stored: bool = True
        ) -> Fragment:
            """Return a fragment whose artist is renamed during so many of the next renders."""
            left = itertools.count(changes, -1)
            is_warmed: list[bool] = []

            @declare("x.html", name="library.x", items=items, model=Artist, version="updated_at")
            def x(artist: Artist) -> dict[str, Any]:
                if artist == artists[0] and is_warmed and (number := next(left)) > 0:
                    name, moment = f"Nina {number}", timezone.now()
                    Artist.objects.filter(pk=artist.pk).update(name=name, updated_at=moment)
                    artist.refresh_from_db()
                return {"name": artist.name}

            if is_stored:
                warm(x)
            is_warmed.append(True)
            fragment: Fragment = x
            return fragment

        return make

    @any_cache
    @pytest.mark.parametrize("changes", [1, 2, 3])
    @pytest.mark.parametrize(
        "items", [Artist.objects.all, lambda: list(Artist.objects.all())], ids=["rows", "list"]
    )
    def test_a_change_is_looked_at_again(
        self, cache_alias: str, changing: Callable[..., Fragment], changes: int, items: Any
    ) -> None:
        """Of objects in a list, too, which are as old as the list."""
        fragment = changing(changes, items)

        assert found(verified(fragment)) == {"instances": 2, "compared": 1, "stale": 1}

    @any_cache
    def test_a_change_of_what_is_not_stored_is_not_chance(
        self, cache_alias: str, changing: Callable[..., Fragment]
    ) -> None:
        fragment = changing(1, is_stored=False)

        assert found(verified(fragment)) == {"instances": 2, "missing": 2}

    @any_cache
    def test_what_always_changes_is_skipped_visibly(
        self, cache_alias: str, changing: Callable[..., Fragment]
    ) -> None:
        fragment = changing(1000)

        assert found(verified(fragment)) == {"instances": 2, "compared": 1, "skipped": 1}

    @any_cache
    def test_a_run_that_stores_meanwhile_makes_nothing_wrong(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        """The version is read, then row and entry move; the head of the former entry is read."""
        warm(artist_card)
        plant(artist_card, [artists[0]])
        former = artist_card.get_contexts
        times = itertools.count()

        def get_contexts(items: Any) -> Any:
            if next(times) == 0:
                Artist.objects.update(updated_at=timezone.now())
                artist_card.get_contexts = former  # type: ignore[method-assign]
                warm(artist_card)
                artist_card.get_contexts = get_contexts  # type: ignore[method-assign]
            return former(items)

        artist_card.get_contexts = get_contexts  # type: ignore[method-assign]
        assert found(verified(artist_card)) == {"instances": 2, "compared": 2}

    @any_cache
    def test_a_deleted_row_is_skipped(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist }}"})

        @declare("x.html", name="library.x", items=lambda: list(artists), model=Artist, version=str)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        Artist.objects.filter(pk=artists[0].pk).delete()
        assert found(verified(x)) == {"instances": 2, "missing": 1, "skipped": 1}


@pytest.mark.server("postgresql")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cache_alias", ["redis"], indirect=True)
def test_nothing_is_wrong_while_others_write_and_warm(
    cache_alias: str, artist_card: Fragment, many_artists: list[Artist]
) -> None:
    """Neither is what pages store and runs warm while it is looked at; what is planted is."""
    ended = threading.Event()
    rounds = itertools.count()

    def write() -> None:
        try:
            while not ended.is_set():
                name = f"Renamed {next(rounds)}"
                some = Artist.objects.filter(pk__in=[a.pk for a in many_artists[::3]])
                some.update(name=name, updated_at=timezone.now())
                warm(artist_card)
        finally:
            connections.close_all()

    planted = many_artists[1]
    warm(artist_card)
    plant(artist_card, [planted])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        reports = [verified(artist_card, batch_size=20) for _time in range(10)]
    finally:
        ended.set()
        writer.join()

    assert next(rounds) > 5
    for report in reports:
        [finding] = report.fragments["library.artist_card"].findings
        assert finding.instance == f"library.artist_card({planted.pk})"


class TestCosts:
    @any_cache
    def test_tokens_of_inner_fragments_that_are_gone_are_not_made_anew(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        declare: Any,
        templates: Any,
        trips: RoundTrips,
    ) -> None:
        templates({"x.html": "{% load fragcache %}{% fragments 'library.artist_card' all %}"})

        @declare("x.html", name="library.x", version=lambda: 1)
        def x() -> dict[str, Any]:
            return {"all": Artist.objects.all()}

        warm(x)
        cache = store()
        keys = [key for trip in trips for key in trip.keys if f"{artist_card.name}#" in key]
        cache.delete_many(keys)
        trips.clear()
        with elsewhere():
            assert found(verified(x)) == {"instances": 1, "stale": 1}
        assert keys
        assert trips.writes == []

    @pytest.mark.parametrize("cache_alias", ["redis", "embedded"], indirect=True)
    def test_nothing_is_written(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        trips: RoundTrips,
    ) -> None:
        """Neither where nothing is stored yet, nor by inner fragments, nor where all is wrong."""
        templates(
            {
                "inner.html": "{{ artist }}",
                "x.html": "{% load fragcache %}{% prefetch_fragments 'library.inner' all %}"
                "{% fragments 'library.inner' all %}{% cache 600 block %}block{% endcache %}",
            }
        )

        @declare("inner.html", name="library.inner", items=Artist.objects.all, version="updated_at")
        def inner(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        @declare("x.html", name="library.x")
        def x() -> dict[str, Any]:
            return {"all": Artist.objects.all()}

        verified(inner, x)
        assert trips.writes == []

        warm(inner, x)
        plant(inner, artists)
        trips.clear()
        assert found(verified(inner, x)) == {"instances": 3, "compared": 3, "wrong": 2}
        assert trips.writes == []

    @any_cache
    def test_queries_do_not_grow_with_the_batch(
        self, cache_alias: str, artist_card: Fragment, many_artists: list[Artist]
    ) -> None:
        """One page of keys with versions, one load of rows."""
        warm(artist_card)
        with counted() as of_one:
            verified(artist_card, sample=1)
        with counted() as of_100:
            verified(artist_card, sample=100)

        assert of_100.number <= of_one.number + 1 <= 6

    @any_cache
    def test_no_more_than_a_batch_is_in_memory(
        self, cache_alias: str, artist_card: Fragment, many_artists: list[Artist], trips: RoundTrips
    ) -> None:
        verified(artist_card, batch_size=20)

        reads = [len(trip.keys) for trip in trips.of("get_many")]
        assert len(reads) == 8
        assert max(reads) == 41  # heads, entries, the token

    def test_a_cache_that_is_down_is_an_error(self, settings: Any, artist_card: Fragment) -> None:
        location = f"redis://127.0.0.1:{free_port()}"
        settings.CACHES = {**settings.CACHES, "down": {"BACKEND": REDIS, "LOCATION": location}}
        Artist.objects.create(name="Nina")

        with pytest.raises(CacheUnavailable, match="refused"):
            verified(artist_card, using="down")


class TestSampling:
    @any_cache
    def test_a_seed_chooses_the_same_again_and_another_one_others(
        self,
        cache_alias: str,
        artist_card: Fragment,
        many_artists: list[Artist],
        renders: list[Any],
    ) -> None:
        def chosen(seed: int) -> set[int]:
            renders.clear()
            assert found(verified(artist_card, sample=10, seed=seed))["instances"] == 10
            return set(renders)

        assert chosen(1) == chosen(1) != chosen(2)

    @any_cache
    def test_every_item_is_as_likely_as_any_other(
        self,
        cache_alias: str,
        artist_card: Fragment,
        many_artists: list[Artist],
        renders: list[Any],
    ) -> None:
        for seed in range(40):
            verified(artist_card, sample=15, seed=seed)

        thirds = [0, 0, 0]
        for pk in set(renders):
            thirds[(pk - many_artists[0].pk) // 50] += 1
        assert all(number > 40 for number in thirds)  # of 50, each with a chance of 98 in 100

    @any_cache
    @pytest.mark.parametrize(
        ("sample", "instances"), [(1, 4), (4, 4), (5, 8), (100, 100), (1000, 600), (None, 600)]
    )
    @pytest.mark.usefixtures("two_languages")
    def test_an_item_is_taken_with_all_its_choices_and_axis_values(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        many_artists: list[Artist],
        sample: int | None,
        instances: int,
    ) -> None:
        templates({"x.html": "{{ artist }} {{ size }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all, choices={"size": ["s", "l"]})
        def x(artist: Artist, size: str) -> dict[str, Any]:
            return {"artist": artist, "size": size}

        assert found(verified(x, sample=sample))["instances"] == instances

    @any_cache
    def test_items_of_a_slice_and_of_a_generator_are_sampled(
        self, cache_alias: str, declare: Any, templates: Any, many_artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ item }}"})

        @declare("x.html", name="library.slice", items=lambda: Artist.objects.order_by("-pk")[:30])
        def of_slice(item: Artist) -> dict[str, Any]:
            assert item.pk >= many_artists[-30].pk
            return {"item": item}

        @declare("x.html", name="library.pairs", items=lambda: ((n, n * n) for n in range(1000)))
        def pairs(item: int, square: int) -> dict[str, Any]:
            assert square == item * item
            return {"item": item}

        assert found(verified(of_slice, pairs, sample=12)) == {"instances": 24, "missing": 24}

    @any_cache
    @pytest.mark.usefixtures("two_languages")
    def test_only_the_axis_values_that_are_asked_for(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        warm(artist_card)
        plant_in("de", artist_card, artists)

        assert found(verified(artist_card, axis_values={"language": ["en"]})) == {
            "instances": 2,
            "compared": 2,
        }
        assert found(verified(artist_card))["wrong"] == 2

    @any_cache
    def test_another_cache_is_looked_into(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        warm(artist_card)

        assert found(verified(artist_card, using="locmem")) == {"instances": 2, "missing": 2}

    @any_cache
    def test_what_is_made_on_demand_is_named(self, cache_alias: str, greeting: Fragment) -> None:
        verified_greeting = verified(greeting).fragments["library.greeting"]

        assert verified_greeting.note.startswith("It is made on demand: only what can be listed")
        assert verified_greeting.tally.instances == 0


class TestDiffs:
    def test_elements_stand_on_lines_of_their_own(self) -> None:
        assert difference("<p><b>1</b></p>", "<p><b>2</b></p>", "a", "b").splitlines() == [
            *("--- a", "+++ b", "@@ -1,3 +1,3 @@", " <p>", "-<b>1</b>", "+<b>2</b>", " </p>")
        ]

    def test_of_long_lines_the_difference_is_shown(self) -> None:
        one, other = ("x" * 1000 + middle + "y" * 1000 for middle in ("one", "other"))

        *_heading, minus, plus = difference(one, other, "a", "b").splitlines()
        assert minus.startswith("-..." + "x" * 39)
        assert "xxxoneyyy" in minus
        assert "xxxotheryyy" in plus
        assert len(minus) == len(plus) == 207

    def test_line_ends_are_shown_where_they_are_the_difference(self) -> None:
        assert "-'<p>\\n'" in difference("<p>\n<b>", "<p><b>", "a", "b")

    def test_what_is_too_long_is_cut(self) -> None:
        one, other = ("\n".join(f"{letter}{n}" for n in range(1000)) for letter in "ab")

        lines = difference(one, other, "a", "b").splitlines()
        assert len(lines) == 41
        assert lines[-1] == "... 1,963 lines more"
