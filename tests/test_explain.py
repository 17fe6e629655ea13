"""`manage.py fragments list` and `explain`: what is declared, and why an entry is not fresh."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command

from fragcache import Fragment, get_fragment, invalidate_all, registry
from fragcache.digests import digest_of
from tests.fixtures import Clock, RoundTrips, any_cache, in_request, on_target, warm
from tests.library.models import Artist
from tests.processes import free_port

pytestmark = pytest.mark.django_db


def fragments(*args: str) -> str:
    """Run the command and return what it prints."""
    out = io.StringIO()
    call_command("fragments", *args, stdout=out)
    return out.getvalue()


def explained(*args: str) -> dict[str, str]:
    document: dict[str, str] = json.loads(fragments("explain", *args, "--json"))
    return document


class TestList:
    @pytest.fixture
    def declared(self, declare: Any, settings: Any) -> None:
        """Fragments of every kind, and no others."""
        registry._fragments.clear()
        settings.FRAGCACHE = {"CACHE_ALIAS": "embedded"}

        @declare(
            "card.html",
            name="library.artist",
            items=Artist.objects.all,
            version=["updated_at", "name"],
            choices={"variant": ["row", "full"]},
            vary_on=["-time_zone"],
            timeout=60,
            using="locmem",
        )
        def artist(artist: Artist, variant: str = "full") -> dict[str, Any]:
            return {}

        @declare("x.html", name="library.footer", timeout=None)
        def footer() -> dict[str, Any]:
            return {}

        @declare("x.html", name="library.words", items=["a", "b"], version=len, max_age=30)
        def words(word: str) -> dict[str, Any]:
            return {}

        @declare("x.html", name="library.search")
        def search(text: str) -> dict[str, Any]:
            return {}

    def test_json_tells_every_declaration(self, declared: None) -> None:
        document = json.loads(fragments("list", "--json"))

        assert document["format"] == 1
        assert [row["name"] for row in document["fragments"]] == [
            "library.artist",
            "library.footer",
            "library.search",
            "library.words",
        ]
        assert document["fragments"][0] == {
            "name": "library.artist",
            "template": "card.html",
            "items": "library.Artist",
            "version": "updated_at, name",
            "axes": ["language"],
            "choices": {"variant": ["row", "full"]},
            "timeout": 60,
            "max_age": 420,
            "using": "locmem",
            "warmed": {"items": 0, "factors": {"variant": 2, "language": 1}, "entries": 0},
        }
        assert document["fragments"][2]["warmed"] is None, "it is made on demand"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("footer", {"items": "one", "version": None, "timeout": None, "max_age": None}),
            ("search", {"items": "on demand", "version": None, "timeout": 86400, "using": None}),
            ("words", {"items": "listed", "version": "function", "max_age": 30}),
        ],
    )
    def test_json_tells_kinds_apart(
        self, declared: None, name: str, expected: dict[str, Any]
    ) -> None:
        rows = {row["name"]: row for row in json.loads(fragments("list", "--json"))["fragments"]}

        row = rows[f"library.{name}"]
        assert {key: row[key] for key in expected} == expected

    def test_a_table_has_one_line_for_each(self, declared: None) -> None:
        heading, *lines = fragments("list").splitlines()

        assert heading.split()[:4] == ["name", "template", "items", "version"]
        assert [line.split()[0] for line in lines] == [
            "library.artist",
            "library.footer",
            "library.search",
            "library.words",
        ]
        assert re.search(
            r"library\.Artist +updated_at, name +language +variant=row\|full", lines[0]
        )

    def test_choices_of_any_type_are_told(self, declare: Any) -> None:
        """They are Python's, and JSON has fewer types."""

        @declare(
            "x.html", name="library.price", choices={"price": [Decimal("1.5"), dt.date(2026, 1, 1)]}
        )
        def price(price: Any) -> dict[str, Any]:
            return {}

        rows = {row["name"]: row for row in json.loads(fragments("list", "--json"))["fragments"]}
        assert rows["library.price"]["choices"] == {"price": ["1.5", "2026-01-01"]}

    def test_nothing_declared_is_told_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        registry._fragments.clear()
        call_command("fragments", "list")

        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("No fragments are declared: add a fragments.py with @fragment")


class TestExplain:
    def test_tells_every_part_of_the_keys(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        warm(artist_card)
        heads, entries = (trips.of(command)[0].keys for command in ("advance_many", "store_many"))
        nina = artists[0]

        rows = explained("library.artist_card", str(nina.pk))

        physical = [caches[cache_alias].make_key(key) for key in (heads[0], entries[0])]
        assert rows["fragment"] == "library.artist_card"
        assert rows["template"] == "artist_card.html"
        assert rows["arguments"] == f"{nina.pk} -> i{len(str(nina.pk))}:{nina.pk}"
        assert rows["axes"] == "language=en-us, time_zone=UTC"
        assert rows["digest"] == digest_of(artist_card)
        assert rows["version"] == rows["head"].partition(".")[0]
        assert [rows["head key"], rows["entry key"]] == physical
        assert rows["entry"] == "11 bytes, fresh"
        assert re.fullmatch(r"\d+\.\d ms", rows["render took"])
        assert re.fullmatch(r"\d+ \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)", rows["token"])
        assert re.fullmatch(r"20.* UTC, \d seconds ago", rows["built"])
        assert "written by" in rows
        assert rows["last miss"] == "none since warm_fragments has rendered it"

    def test_tells_why_it_was_missed_last(
        self, cache_alias: str, artist_card: Any, artists: list[Artist]
    ) -> None:
        get_fragment("library.artist_card", artists[0])
        rows = explained("library.artist_card", str(artists[0].pk))
        assert rows["last miss"] == "cold"

    @pytest.mark.parametrize(
        ("happening", "label", "text"),
        [
            ("nothing", "head", "missing: never warmed, evicted, or another digest"),
            ("nothing", "entry", "missing: not rendered yet, evicted or expired"),
            ("shown", "entry", "11 bytes, fresh"),
            ("warmed invalidated", "entry", "11 bytes, stale: invalidated"),
            ("warmed old", "entry", "11 bytes, stale: older than its max_age"),
            ("warmed changed", "entry", "missing: not rendered yet, evicted or expired"),
            ("warmed deleted", "version", "none: no such item"),
            ("warmed changed warmed", "predecessor", None),
        ],
    )
    @any_cache
    def test_tells_why_an_entry_is_not_fresh(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        clock: Clock,
        happening: str,
        label: str,
        text: str | None,
    ) -> None:
        nina = artists[0]
        pk = str(nina.pk)
        happenings: dict[str, Callable[[], Any]] = {
            "nothing": lambda: None,
            "shown": lambda: get_fragment(artist_card, nina),
            "warmed": lambda: warm(artist_card),
            "invalidated": lambda: invalidate_all(artist_card),
            "old": lambda: clock.step(8 * 86_400),
            "changed": lambda: Artist.objects.filter(pk=nina.pk).update(
                updated_at="2030-01-01 00:00Z"
            ),
            "deleted": lambda: Artist.objects.filter(pk=nina.pk).delete(),
        }
        for name in happening.split():
            happenings[name]()

        rows = explained("library.artist_card", pk)
        assert label in rows
        assert text is None or rows[label] == text

    @any_cache
    def test_tells_of_a_template_that_a_variable_chose(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{% include kind %}", "long.html": "LP", "short.html": "EP"})

        @declare("x.html", name="library.kind")
        def x() -> dict[str, Any]:
            return {"kind": "long.html"}

        get_fragment(x)
        rows = explained("library.kind")
        assert (rows["includes"], rows["entry"]) == ("long.html", "2 bytes, fresh")
        assert rows["arguments"] == "none -> -"

        templates({"long.html": "Long player"})
        assert explained("library.kind")["entry"] == (
            "2 bytes, stale: a template that it includes by a variable has changed"
        )

    @any_cache
    def test_takes_keyword_arguments(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "x"})

        @declare("x.html", name="library.x", items=Artist.objects.all)
        def x(artist: Artist, variant: str = "full") -> dict[str, Any]:
            return {}

        get_fragment(x, artists[0], variant="row=1")
        rows = explained("library.x", str(artists[0].pk), "variant=row=1")
        assert rows["entry"] == "1 bytes, fresh"
        assert "stamp" in rows

    @any_cache
    def test_prints_lines_for_people(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        lines = fragments("explain", "library.artist_card", str(artists[0].pk)).splitlines()

        assert lines[0] == "fragment   library.artist_card"
        assert lines[-1] == "entry      missing: not rendered yet, evicted or expired"

    @any_cache
    def test_renders_and_stores_nothing(
        self,
        cache_alias: str,
        artist_card: Fragment,
        artists: list[Artist],
        renders: list[int],
        trips: RoundTrips,
    ) -> None:
        with in_request():
            get_fragment(artist_card, artists[1])
        renders.clear()
        trips.clear()

        explained("library.artist_card", str(artists[0].pk))

        assert renders == []
        assert trips.writes == []

    @any_cache
    def test_works_on_a_target(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        warm(artist_card)
        with on_target("library.artist_card"):
            rows = explained("library.artist_card", str(artists[0].pk))

        assert rows["template"] == "none here: rendered by the source"
        assert rows["entry"] == "11 bytes, fresh"
        assert "version" not in rows

    @any_cache
    def test_takes_another_cache(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        caches["default"].clear()
        get_fragment(artist_card, artists[0])

        pk = str(artists[0].pk)
        assert explained("library.artist_card", pk)["entry"] == "11 bytes, fresh"
        rows = explained("library.artist_card", pk, "--using=default")
        assert rows["entry"].startswith("missing")


class TestExitCodes:
    """0 as it ran, 2 for usage, 75 where the cache is down."""

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (
                ["library.artist_cart", "1"],
                r"No fragment is called .*artist_cart'\. Did you mean 'library\.artist_card'\?",
            ),
            (["library.artist_card"], r"library\.artist_card\(artist\) misses 'artist'"),
            (["library.artist_card", "Nina"], "'Nina' is not a primary key of its model"),
            (["library.artist_card", "1", "size=2"], "has no parameter 'size'"),
            (["library.artist_card", "\udcff"], r"'\\udcff' is not written in UTF-8"),
            (["library.artist_card", "1", "size=\udcff"], "is not written in UTF-8"),
        ],
    )
    @any_cache
    def test_usage(
        self, cache_alias: str, artist_card: Fragment, args: list[str], message: str
    ) -> None:
        with pytest.raises(CommandError, match=message) as raised:
            fragments("explain", *args)
        assert raised.value.returncode == 2

    @any_cache
    def test_unpublished_name_on_a_target(self, cache_alias: str) -> None:
        with (
            on_target(),
            pytest.raises(CommandError, match="No source has published a fragment") as raised,
        ):
            fragments("explain", "library.unknown")
        assert raised.value.returncode == 2

    @pytest.mark.parametrize("name", ["library.artist_card", "library.of_another_site"])
    def test_cache_down(self, settings: Any, artist_card: Fragment, name: str) -> None:
        if "redis" not in settings.CACHES:
            pytest.skip("redis is not in use")
        location = f"redis://127.0.0.1:{free_port()}"
        down = {**settings.CACHES["redis"], "LOCATION": location}
        settings.CACHES = {**settings.CACHES, "down": down}
        settings.FRAGCACHE = {"CACHE_ALIAS": "down"}

        with pytest.raises(CommandError, match=r"The cache is unavailable: .* refused") as raised:
            fragments("explain", name, "1")
        assert raised.value.returncode == 75

    def test_no_action(self) -> None:
        with pytest.raises(CommandError, match="required: ACTION"):
            fragments()
