"""Contexts that a source publishes, and a target without its models fetches."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import caches
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import transaction
from django.template import engines
from django.test import override_settings
from django.utils import translation

from fragcache import (
    CacheUnavailable,
    Fragment,
    FragmentMissing,
    ImproperlyDeclared,
    InvalidArguments,
    ReadOnly,
    SnapshotTooLarge,
    TransactionOpen,
    UnknownFragment,
    Unpublishable,
    afetch_context,
    apublish_context,
    fetch_context,
    get_fragment,
    invalidate,
    invalidate_all,
    manifest,
    publish_context,
    registry,
    remote_fragment,
)
from fragcache.entry import Entry, Kind
from fragcache.events import Event
from fragcache.store import store
from fragcache.verifying import comparing
from tests.discography.models import Record, Singer
from tests.fixtures import (
    Clock,
    RoundTrips,
    any_cache,
    elsewhere,
    happened,
    on_target,
    warm,
    without_local_cache,
)
from tests.library.models import Artist

pytestmark = pytest.mark.django_db
NAME = "discography.records"


@pytest.fixture
def singers() -> list[Singer]:
    nina = Singer.objects.create(first_name="Nina", last_name="Simone")
    ella = Singer.objects.create(first_name="Ella", last_name="Fitzgerald")
    Record.objects.create(singer=nina, title="Pastel Blues", price=Decimal("19.90"))
    return [nina, ella]


@pytest.fixture
def records_of(declare: Callable[..., Any], renders: list[Any]) -> Any:
    """A fragment that is published as context alone: a singer with all records."""

    @declare(
        name=NAME, items=Singer.objects.all, publish="context", stamped=True, expose=["full_name"]
    )
    def records(singer: Singer) -> dict[str, Any]:
        renders.append(singer.pk)
        return {"singer": singer, "records": singer.records.order_by("pk")}

    return records


@pytest.fixture
def card(declare: Callable[..., Any], renders: list[Any], templates: Any) -> Any:
    """One that is published as both, with a version."""
    templates({"card.html": "<b>{{ artist }}</b>"})

    @declare(
        "card.html",
        name="library.card",
        items=Artist.objects.all,
        version="updated_at",
        publish="both",
    )
    def card(artist: Artist) -> dict[str, Any]:
        renders.append(artist.pk)
        return {"artist": artist}

    return card


class TestPublishing:
    def test_gives_a_key_that_a_target_fetches_the_context_by(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        key = publish_context(records_of, singers[0])

        with on_target(NAME):
            found = fetch_context(key)
        assert found["singer"].full_name == "NINA SIMONE"
        assert found["records"].first().price == Decimal("19.90")
        assert key.startswith(f"fc1:{NAME}:i{len(str(singers[0].pk))}:{singers[0].pk}:")

    def test_lets_a_target_fetch_it_by_name_and_arguments(
        self,
        cache_alias: str,
        records_of: Fragment,
        singers: list[Singer],
        django_assert_num_queries: Any,
    ) -> None:
        """No run has told of the fragment: publishing does."""
        publish_context(NAME, singers[0])

        with on_target(NAME), elsewhere(), django_assert_num_queries(0):
            for given in (singers[0].pk, str(singers[0].pk)):
                assert fetch_context(NAME, given)["singer"].first_name == "Nina"
            assert fetch_context(NAME, singer=singers[0].pk)["records"].count() == 1
        assert happened(Event.HIT, NAME) == 3

    @any_cache
    def test_publishes_the_rows_of_now_and_not_those_of_the_caller(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        singers[0].first_name = "Eunice"

        key = publish_context(records_of, singers[0])

        assert fetch_context(key)["singer"].first_name == "Nina"

    @without_local_cache
    def test_of_what_was_overwritten_in_the_cache_builds_it_again(
        self, cache_alias: str, card: Fragment, artists: list[Artist]
    ) -> None:
        """Else whoever asked for the key would get the same useless one for ever."""
        key = publish_context(card, artists[0])
        caches[cache_alias].set(key, b"poison")
        assert fetch_context(key, default=None) is None

        assert publish_context(card, artists[0]) == key
        assert fetch_context(key)["artist"].name == "Nina"

    @any_cache
    def test_of_what_is_current_builds_nothing(
        self, cache_alias: str, card: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        key = publish_context(card, artists[0])
        assert publish_context(card, artists[0].pk) == key
        assert len(renders) == 1

        Artist.objects.filter(pk=artists[0].pk).update(
            name="Eunice", updated_at=artists[0].updated_at + dt.timedelta(seconds=1)
        )
        assert publish_context(card, artists[0].pk) != key
        assert fetch_context(card, artists[0].pk)["artist"].name == "Eunice"
        assert fetch_context(key)["artist"].name == "Nina"
        assert len(renders) == 2

    @any_cache
    def test_of_an_object_that_is_old_publishes_the_row_of_now(
        self, cache_alias: str, card: Fragment, artists: list[Artist]
    ) -> None:
        Artist.objects.filter(pk=artists[0].pk).update(
            name="Eunice", updated_at=artists[0].updated_at + dt.timedelta(seconds=1)
        )
        key = publish_context(card, artists[0].pk)

        assert publish_context(card, artists[0]) == key
        assert fetch_context(card, artists[0].pk)["artist"].name == "Eunice"

    @any_cache
    def test_after_an_invalidation_builds_anew_under_the_same_key(
        self, cache_alias: str, card: Fragment, artists: list[Artist]
    ) -> None:
        key = publish_context(card, artists[0])
        Artist.objects.update(name="Eunice")  # a change that the version misses
        invalidate_all(card)

        with elsewhere():
            assert publish_context(card, artists[0].pk) == key
        with on_target("library.card"):
            assert fetch_context("library.card", artists[0].pk)["artist"].name == "Eunice"

    @any_cache
    def test_of_a_release_that_makes_another_context_builds_anew(
        self, cache_alias: str, card: Any, artists: list[Artist], renders: list[Any]
    ) -> None:
        from fragcache import digests

        key = publish_context(card, artists[0])
        card.revision = "2"
        digests.forget()
        vars(card).pop("_context_form")

        assert publish_context(card, artists[0]) != key
        with on_target("library.card"):
            assert fetch_context("library.card", artists[0].pk)["artist"].name == "Nina"
        assert len(renders) == 2

    @any_cache
    def test_of_a_release_with_another_parameter_tells_targets(
        self, cache_alias: str, declare: Any
    ) -> None:
        @declare(name="library.word", publish="context")
        def word(text: str) -> dict[str, Any]:
            return {"text": text}

        publish_context(word, "x")
        registry.remove("library.word")

        @declare(name="library.word", publish="context")
        def word_of_today(text: str, size: int = 1) -> dict[str, Any]:
            return {"text": text * size}

        publish_context(word_of_today, "x", size=2)
        with on_target("library.word"):
            assert fetch_context("library.word", "x", size=2) == {"text": "xx"}

    @any_cache
    def test_leaves_html_alone(
        self, cache_alias: str, card: Fragment, artists: list[Artist]
    ) -> None:
        publish_context(card, artists[0])
        assert get_fragment(card, artists[0]) == "<b>Nina</b>"
        with on_target("library.card"):
            assert fetch_context("library.card", artists[0].pk)["artist"].name == "Nina"

    @any_cache
    def test_by_a_run_writes_both_forms(
        self, cache_alias: str, card: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        report = warm(card)

        tally = report.fragments["library.card"]
        assert (tally.planned, tally.stored) == (4, 4)
        with on_target("library.card"):
            for artist in artists:
                assert get_fragment("library.card", artist.pk) == f"<b>{artist}</b>"
                assert fetch_context("library.card", artist.pk)["artist"].name == artist.name
        renders.clear()
        again = warm(card).fragments["library.card"]
        assert (again.planned, again.fresh, renders) == (4, 4, [])

    @any_cache
    def test_is_by_language(self, cache_alias: str, declare: Any, settings: Any) -> None:
        settings.LANGUAGES = [("en-us", "English"), ("de", "German")]

        @declare(name="library.word", publish="context")
        def word() -> dict[str, Any]:
            return {"language": translation.get_language()}

        warm(word)
        with on_target("library.word"):
            for language in ("en-us", "de"):
                with translation.override(language):
                    assert fetch_context("library.word") == {"language": language}

    @any_cache
    def test_can_wait_in_async_code(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        from asgiref.sync import async_to_sync

        key = async_to_sync(apublish_context)(NAME, singers[0].pk)
        assert async_to_sync(afetch_context)(key)["singer"].first_name == "Nina"


@any_cache
class TestPublishingFails:
    def test_for_a_name_that_nobody_declares(self, cache_alias: str, records_of: Fragment) -> None:
        with pytest.raises(UnknownFragment, match=r"Did you mean 'discography\.records'"):
            publish_context("discography.record", 1)

    def test_for_what_is_declared_as_html(self, cache_alias: str, artist_card: Fragment) -> None:
        with pytest.raises(ImproperlyDeclared) as raised:
            publish_context(artist_card, 1)
        assert str(raised.value) == (
            "library.artist_card is published as HTML: declare publish='context', or 'both'."
        )

    def test_for_what_is_no_item(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        with pytest.raises(FragmentMissing, match=r"\(0\) is not among the fragment's items"):
            publish_context(records_of, 0)
        with pytest.raises(InvalidArguments, match="'x' is not a primary key"):
            publish_context(records_of, "x")

    def test_on_a_site_that_only_reads(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        with (
            override_settings(FRAGCACHE={"CACHE_ALIAS": cache_alias, "READ_ONLY": True}),
            pytest.raises(ReadOnly),
        ):
            publish_context(records_of, singers[0])

    def test_in_a_transaction(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        with (
            transaction.atomic(),
            pytest.raises(TransactionOpen, match="is not published inside of a transaction"),
        ):
            publish_context(records_of, singers[0])

    def test_for_what_cannot_be_published_and_writes_nothing(
        self, cache_alias: str, declare: Any, trips: RoundTrips
    ) -> None:
        @declare(name="library.odd", publish="context")
        def odd() -> dict[str, Any]:
            return {"values": [{"call": len}]}

        @declare(name="library.large", publish="context")
        def large() -> dict[str, Any]:
            return {"small": 1, "large": ["x" * 1000] * 5000}

        with pytest.raises(Unpublishable, match=r"^values\[0\]\.call is <built-in function len>"):
            publish_context(odd)
        with pytest.raises(SnapshotTooLarge, match="Its largest part is 'large'"):
            publish_context(large)
        assert "store_many" not in trips.commands


class TestFetching:
    def test_takes_two_round_trips_and_then_one(
        self,
        cache_alias: str,
        records_of: Fragment,
        singers: list[Singer],
        trips: RoundTrips,
    ) -> None:
        publish_context(records_of, singers[0])
        with on_target(NAME):
            manifest.find(store(), NAME)
            store().local.clear()
            for expected in (["get_many", "get_many"], ["get_many"]):
                trips.clear()
                fetch_context(NAME, singers[0].pk)
                assert trips.commands == expected
        assert trips.writes == []

    @any_cache
    def test_gives_each_who_asks_a_context_of_its_own(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        key = publish_context(records_of, singers[0])
        first = fetch_context(key)
        first["singer"].first_name = "Mallory"
        first["more"] = 1

        assert fetch_context(key)["singer"].first_name == "Nina"
        assert "more" not in fetch_context(NAME, singers[0].pk)

    def test_of_what_was_invalidated_is_stale_and_counted(
        self, cache_alias: str, card: Fragment, artists: list[Artist]
    ) -> None:
        key = publish_context(card, artists[0])
        invalidate_all(card)

        with on_target("library.card"), elsewhere():
            assert fetch_context("library.card", artists[0].pk)["artist"].name == "Nina"
            assert happened(Event.STALE_SERVED, "library.card") == 1
            assert fetch_context(key)["artist"].name == "Nina"
            assert happened(Event.STALE_SERVED) == 2
        assert happened(Event.HIT) == 0

    @pytest.mark.parametrize("how", ["purge", "delete"])
    def test_of_what_was_purged_is_missing(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer], how: str
    ) -> None:
        nina, ella = singers
        key, other = publish_context(records_of, nina), publish_context(records_of, ella)
        pk = nina.pk
        if how == "purge":
            invalidate_all(records_of, purge=True)
        else:
            Record.objects.all().delete()
            nina.delete()
            invalidate(records_of, pk)

        with on_target(NAME), elsewhere():
            assert fetch_context(NAME, pk, default=None) is None
            assert fetch_context(key, default=None) is None
            if how == "delete":
                assert fetch_context(other)["singer"].first_name == "Ella"
                assert fetch_context(NAME, ella.pk)["singer"].first_name == "Ella"

    def test_of_a_row_that_is_gone_is_missing_also_without_stamps(
        self, cache_alias: str, card: Fragment, artists: list[Artist]
    ) -> None:
        warm(card)
        pk = artists[0].pk
        artists[0].delete()
        invalidate(card, pk)

        with on_target("library.card"), elsewhere():
            assert fetch_context("library.card", pk, default=None) is None
            assert fetch_context("library.card", artists[1].pk)["artist"].name == "Ella"

    @any_cache
    def test_of_a_stamped_one_tells_which_was_invalidated(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        keys = [publish_context(records_of, singer) for singer in singers]
        invalidate(records_of, singers[0])

        with on_target(NAME), elsewhere():
            assert fetch_context(keys[1])
            assert happened(Event.STALE_SERVED) == 0
            assert fetch_context(keys[0])
            assert happened(Event.STALE_SERVED) == 1

    @any_cache
    def test_of_an_instance_that_is_not_there_raises_or_is_the_default(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        publish_context(records_of, singers[0])

        with on_target(NAME):
            with pytest.raises(FragmentMissing) as raised:
                fetch_context(NAME, singers[1].pk)
            assert str(raised.value) == (
                f"No context of {NAME}({singers[1].pk}) is in the cache: run warm_fragments on "
                "the source, or publish_context() there, or pass default=."
            )
            assert fetch_context(NAME, singers[1].pk, default={}) == {}
            assert happened(Event.MISSING, NAME) == 2
            with pytest.raises(FragmentMissing, match="No source has published a fragment called"):
                fetch_context("discography.unknown", 1)
            assert fetch_context("discography.unknown", 1, default=None) is None
            assert fetch_context(NAME, "x", default=None) is None
            with pytest.raises(InvalidArguments):
                fetch_context(NAME, "x")

    @pytest.mark.parametrize(
        "key",
        ["fc1:x", "fc1:", "fc1:a b", "fc1:\n", "fc1:ü", f"fc1:{'x' * 500}", f"fc1:{NAME}!manifest"],
    )
    def test_by_a_key_that_nobody_gave_raises_or_is_the_default(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer], key: str
    ) -> None:
        publish_context(records_of, singers[0])
        with pytest.raises(FragmentMissing, match="No context is in the cache under 'fc1:"):
            fetch_context(key)
        assert fetch_context(key, default=None) is None

    @any_cache
    def test_by_the_key_of_html_is_missing(
        self, cache_alias: str, card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(card)
        stored = {key for trip in trips.of("store_many") for key in trip.keys}
        for key in stored:
            is_there = fetch_context(key, default=None) is not None
            assert is_there == (".*" in key), key
        assert sum(".*" in key for key in stored) == 2

    @any_cache
    def test_by_a_key_that_has_ended_says_so(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        key = publish_context(records_of, singers[0])
        store().delete_many([key])
        with elsewhere(), pytest.raises(FragmentMissing, match="it has ended, or another site"):
            fetch_context(key)

    @any_cache
    def test_of_what_another_key_sealed_is_missing_and_says_why(
        self,
        cache_alias: str,
        records_of: Fragment,
        singers: list[Singer],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        key = publish_context(records_of, singers[0])
        with on_target(NAME, SECRET_KEYS=["another"]):
            assert fetch_context(key, default=None) is None
        assert happened(Event.UNKNOWN_KEY) > 0
        assert "is sealed with a key that is not in" in caplog.text

    @any_cache
    def test_of_random_bytes_behind_a_right_seal_is_missing_and_counted(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        key = publish_context(records_of, singers[0])
        cache = store()
        sealed = cache.read_many([key])[key]
        for payload in (b"", b"\x00" * 50, b"\x80\x04\x95", b"\x82\xa6format\x02\xa4body\x00"):
            cache.write_many({key: sealed._replace(payload=payload)}, None)
            cache.local.clear()
            assert fetch_context(key, default=None) is None
            assert fetch_context(NAME, singers[0].pk, default=None) is None
        assert happened(Event.UNBELIEVED) == 8

    @any_cache
    def test_of_html_under_the_key_of_a_context_is_missing(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        key = publish_context(records_of, singers[0])
        cache = store()
        cache.write_many({key: Entry(Kind.HTML, b"<b>", as_of=1, built_at=1)}, None)
        cache.local.clear()

        assert fetch_context(key, default=None) is None
        assert happened(Event.UNBELIEVED) == 0  # it is not taken for a context at all

    def test_writes_nothing_on_a_target(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer], trips: RoundTrips
    ) -> None:
        key = publish_context(records_of, singers[0])
        caches[cache_alias].delete_many(trips.of("add_many")[0].keys)  # the tokens
        trips.clear()
        with on_target(NAME), elsewhere():
            assert fetch_context(NAME, singers[0].pk)
            assert fetch_context(key)
        assert trips.writes == []

    @any_cache
    def test_of_an_old_one_is_stale(
        self, cache_alias: str, declare: Any, clock: Clock, settings: Any
    ) -> None:
        @declare(name="library.now", publish="context", timeout=3600)
        def now() -> dict[str, Any]:
            return {"word": "now"}

        publish_context(now)
        clock.step(3601)
        with on_target("library.now"):
            assert fetch_context("library.now") == {"word": "now"}
        assert happened(Event.STALE_SERVED, "library.now") == 1


@any_cache
class TestCommands:
    """What the commands say of a fragment that has no HTML."""

    def test_explain_tells_of_its_entry(
        self, cache_alias: str, records_of: Fragment, singers: list[Singer]
    ) -> None:
        key = publish_context(records_of, singers[0])
        pk = str(singers[0].pk)
        shown = said("explain", NAME, pk)
        with on_target(NAME):
            on_the_target = said("explain", NAME, pk)

        for text in (shown, on_the_target):
            rows = dict(line.split(None, 1) for line in text.splitlines())
            assert rows["template"] == "none: published as context"
            assert re.search(rf"(?m)^entry key +{re.escape(store().physical_key(key))}$", text)
            assert re.search(r"(?m)^entry +[\d,]+ bytes, fresh$", text)

    def test_verify_compares_it(
        self,
        cache_alias: str,
        records_of: Fragment,
        singers: list[Singer],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(comparing, "PAUSE", 0)
        warm(records_of)
        number = len(singers)
        assert f"{number} instances        {number} compared   " in said("verify", NAME)

        Singer.objects.filter(pk=singers[0].pk).update(first_name="Other")
        out = io.StringIO()
        with pytest.raises(CommandError, match=rf"Of {number} instances: 1 outdated\."):
            call_command("fragments", "verify", NAME, "--strict", stdout=out)
        assert f"{NAME}({singers[0].pk}), language=en-us, time_zone=UTC: outdated" in out.getvalue()
        assert re.search(r'(?m)^ *\+ .*"Other"', out.getvalue())

    def test_verify_finds_what_its_version_does_not_tell(
        self,
        cache_alias: str,
        artists: list[Artist],
        declare: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(comparing, "PAUSE", 0)

        @declare(name=NAME, items=Artist.objects.all, version="updated_at", publish="context")
        def named(artist: Artist) -> dict[str, Any]:
            return {"name": artist.name}

        warm(named)
        Artist.objects.filter(pk=artists[0].pk).update(name="Other")
        with pytest.raises(CommandError, match=r"Of 2 instances: 1 wrong\."):
            said("verify", NAME)

    def test_list_and_check_know_it(self, cache_alias: str, records_of: Fragment) -> None:
        assert NAME in said("list")
        assert not [one for one in run_checks() if NAME in str(one)]


def said(*args: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    call_command("fragments", *args, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


@any_cache
def test_html_is_missing_and_the_error_says_how_to_show_the_context(
    cache_alias: str, records_of: Fragment, singers: list[Singer]
) -> None:
    warm(records_of)
    with on_target(NAME), pytest.raises(FragmentMissing) as raised:
        get_fragment(NAME, singers[0].pk)
    assert str(raised.value) == (
        f"{NAME}({singers[0].pk}) has no HTML: its source publishes contexts. Show it by a "
        "template of this site with remote_fragment(), or use fetch_context()."
    )
    with pytest.raises(ImproperlyDeclared, match="has no template: it is published as context"):
        get_fragment(NAME, singers[0].pk)


@pytest.mark.parametrize("cache_alias", ["memcached"], indirect=True)
def test_what_the_cache_refuses_is_an_error_that_names_the_largest_part(
    cache_alias: str, declare: Any
) -> None:
    @declare(name="library.large", publish="context")
    def large() -> dict[str, Any]:
        return {"small": 1, "songs": ["x" * 1000] * 2000}

    with pytest.raises(CacheUnavailable) as raised:
        publish_context(large)
    assert "refused the context of library.large (2,00" in str(raised.value)
    assert "Its largest part is 'songs' (2,00" in str(raised.value)
    assert raised.value.is_refusal
    assert fetch_context(large, default=None) is None


@any_cache
class TestHolding:
    """A context that holds the HTML of another fragment."""

    @pytest.fixture
    def around(self, declare: Any, artist_card: Fragment, artists: list[Artist]) -> Any:
        pk = artists[0].pk

        @declare(name="library.around", publish="context")
        def around() -> dict[str, Any]:
            return {"html": get_fragment(artist_card, pk)}

        return around

    def test_is_stale_when_that_was_invalidated(
        self, cache_alias: str, around: Fragment, artist_card: Fragment
    ) -> None:
        key = publish_context(around)
        with on_target("library.around", "library.artist_card"):
            assert fetch_context(key) == fetch_context("library.around") == {"html": "<b>Nina</b>"}
            assert happened(Event.STALE_SERVED) == 0
        invalidate_all(artist_card)
        with on_target("library.around", "library.artist_card"), elsewhere():
            assert fetch_context(key) == fetch_context("library.around") == {"html": "<b>Nina</b>"}
            assert happened(Event.STALE_SERVED) == 2

    def test_is_missing_when_that_was_purged(
        self, cache_alias: str, around: Fragment, artist_card: Fragment
    ) -> None:
        key = publish_context(around)
        invalidate_all(artist_card, purge=True)
        with on_target("library.around", "library.artist_card"), elsewhere():
            assert fetch_context(key, default=None) is None
            assert fetch_context("library.around", default=None) is None

    def test_is_there_when_it_is_published_after_that_was_purged(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        """Though the stamp of what it holds is older than the purge."""
        templates({"inner.html": "<b>inner</b>"})
        inner = declare("inner.html", name="library.inner", timeout=60)(lambda: {"n": 1})

        @declare(name="library.outer", publish="context")
        def outer() -> dict[str, Any]:
            return {"html": get_fragment(inner)}

        publish_context(outer)
        invalidate_all(inner, purge=True)
        publish_context(outer)
        with on_target("library.outer", "library.inner"), elsewhere():
            assert fetch_context("library.outer") == {"html": "<b>inner</b>"}


class TestWithoutTheCache:
    @pytest.fixture
    def down(self, settings: Any) -> None:
        settings.CACHES = {
            **settings.CACHES,
            "down": {
                "BACKEND": "fragcache.backends.redis.RedisCache",
                "LOCATION": "redis://127.0.0.1:1/0",
            },
        }
        settings.FRAGCACHE = {"CACHE_ALIAS": "down", "READ_ONLY": True}

    def test_fetching_gives_the_default_or_says_that_it_is_missing(self, down: None) -> None:
        key = "fc1:library.card:-:-:1.*1"
        assert fetch_context("library.card", 1, default=None) is None
        assert fetch_context(key, default=None) is None
        with pytest.raises(FragmentMissing):
            fetch_context(key)
        with pytest.raises(FragmentMissing):
            fetch_context("library.card", 1)
        assert happened(Event.CACHE_ERROR) > 0

    def test_a_remote_fragment_shows_nothing(self, down: None, templates: Any) -> None:
        templates({"x.html": "x"})
        remote_fragment("library.far", "x.html")
        page = "{% load fragcache %}({% fragment 'library.far' 1 %})"
        assert engines["django"].from_string(page).render({}) == "()"

    def test_publishing_raises(self, down: None, declare: Any, settings: Any) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": "down"}

        @declare(name="library.near", publish="context")
        def near() -> dict[str, Any]:
            return {}

        with pytest.raises(CacheUnavailable):
            publish_context(near)
