"""Verifying finds keys that tell apart too little, and advises on those that tell too much."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.utils import timezone, translation

from fragcache import Axis, Fragment, absolute_uri, axes
from fragcache.verifying import Finding, Kind, comparing
from fragcache.verifying.perturbing import perturbations
from tests.fixtures import any_cache, warm
from tests.library.models import Artist
from tests.verifying import found, verified

pytestmark = pytest.mark.django_db
brand = ContextVar("brand", default="main")


class Brand(Axis):
    name = "brand"

    def current(self, request: Any) -> str:
        return brand.get()

    def values(self) -> list[str]:
        return ["main", "news"]

    @contextmanager
    def activate(self, value: str) -> Iterator[None]:
        token = brand.set(value)
        try:
            yield
        finally:
            brand.reset(token)


class Broken(Brand):
    name = "broken"

    def values(self) -> list[str]:
        raise LookupError("no table of brands")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs is rendered again at once."""
    monkeypatch.setattr(comparing, "PAUSE", 0)


@pytest.fixture
def brands(settings: Any, cache_alias: str) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": [f"{__name__}.Brand"]}


@pytest.fixture
def twelve(db: None) -> list[Artist]:
    return Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(12))


def findings(*fragments: Fragment) -> list[Finding]:
    return [f for one in verified(*fragments).fragments.values() for f in one.findings]


@any_cache
class TestTooNarrow:
    def declare(self, declare: Any, templates: Any, source: str, **options: Any) -> Fragment:
        templates({"x.html": source})
        options = {"items": Artist.objects.all, "version": "updated_at", **options}

        @declare("x.html", name="library.x", **options)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist, "brand": brand.get(), "price": 1234.5}

        fragment: Fragment = x
        return fragment

    def test_a_refused_language_that_shows_is_found(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        """In a number alone, without any tag that says so."""
        fragment = self.declare(declare, templates, "{{ price }}", vary_on=["-language"])
        warm(fragment)

        [finding] = findings(fragment)

        assert finding.kind is Kind.TOO_NARROW
        assert finding.instance == f"library.x({artists[0].pk})"
        assert (
            finding.about == "The output depends on the axis 'language', which is not in the key."
        )
        assert finding.remedy == "Take '-language' out of its vary_on."
        assert finding.diff.splitlines() == [
            "--- stored for all",
            "+++ language=de",
            "@@ -1 +1 @@",
            "-1234.5",
            "+1234,5",
        ]
        assert translation.get_language() == "en-us"

    def test_a_refused_time_zone_that_shows_is_found(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        source = "{{ artist.updated_at|date:'Y-m-d H:i' }}"
        fragment = self.declare(declare, templates, source, vary_on=["-time_zone"])

        [finding] = findings(fragment)
        assert finding.remedy == "Take '-time_zone' out of its vary_on."
        assert "+++ time_zone=Pacific/Kiritimati" in finding.diff
        with timezone.override("Pacific/Kiritimati"):
            [finding] = findings(fragment)
        assert "+++ time_zone=Pacific/Pago_Pago" in finding.diff

    @pytest.mark.usefixtures("brands")
    def test_an_axis_of_ones_own_that_shows_is_found(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        fragment = self.declare(declare, templates, "{{ brand }}", vary_on=["-time_zone"])

        [finding] = findings(fragment)
        assert finding.remedy == "Declare vary_on=['-time_zone', 'brand']."
        assert "-main\n+news" in finding.diff
        assert brand.get() == "main"

    def test_a_site_that_shows_is_found(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        Site.objects.create(domain="two.example", name="Two")
        templates({"y.html": "{{ site.domain }}"})

        @declare("y.html", name="library.y", items=Artist.objects.all, version="updated_at")
        def y(artist: Artist) -> dict[str, Any]:
            return {"site": Site.objects.get_current()}

        [finding] = findings(y)
        assert finding.remedy == "Declare vary_on=['site']."
        assert "+two.example" in finding.diff
        assert django_settings.SITE_ID == 1

    @pytest.mark.parametrize(("axis", "other"), [("scheme", "http:"), ("host", "b.example")])
    def test_an_address_that_shows_is_found(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any, axis: str, other: str
    ) -> None:
        settings.ALLOWED_HOSTS = ["a.example", "b.example"]
        templates({"x.html": "{{ address }}"})
        told = [name for name in ("scheme", "host") if name != axis]
        declare("x.html", name="library.other", vary_on=[axis])(dict)

        @declare("x.html", name="library.x", version=lambda: 1, vary_on=told)
        def x() -> dict[str, Any]:
            return {"address": absolute_uri("/")}

        found = {finding.remedy: finding for finding in findings(x)}

        narrow = found[f"Declare vary_on={[*told, axis]!r}."]
        assert narrow.kind is Kind.TOO_NARROW
        added = [line for line in narrow.diff.splitlines() if line[:1] == "+"]
        assert other in added[-1]

    def test_addresses_cannot_be_asked_for_where_no_host_is_known(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any, caplog: Any
    ) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        Site.objects.all().delete()
        declare("x.html", name="library.other", vary_on=["host"])(dict)
        fragment = self.declare(declare, templates, "")

        assert "host" not in {found.name for found in perturbations(fragment)}
        assert caplog.text == ""

    @pytest.mark.usefixtures("brands")
    @pytest.mark.parametrize(
        ("source", "vary_on"),
        [
            ("{{ artist.name }}", ["-language", "-time_zone"]),
            ("{{ brand }}", ["brand"]),
            ("{{ price }}", []),
        ],
    )
    def test_what_is_in_the_key_or_does_not_show_is_no_finding(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        artists: list[Artist],
        source: str,
        vary_on: list[str],
    ) -> None:
        Site.objects.create(domain="two.example", name="Two")
        fragment = self.declare(declare, templates, source, vary_on=vary_on)
        warm(fragment)

        assert findings(fragment) == []

    def test_two_other_values_of_each_axis_are_tried(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": [f"{__name__}.Brand"]}
        settings.ALLOWED_HOSTS = [f"{name}.example" for name in "abcd"]
        Site.objects.bulk_create(Site(domain=f"{n}.example", name=str(n)) for n in range(5))
        fragment = self.declare(declare, templates, "", vary_on=["-language", "-time_zone"])

        tried = [found.text for found in perturbations(fragment)]
        assert [text.partition("=")[0] for text in tried].count("site") == 2
        assert "site=1" not in tried
        assert [text for text in tried if not text.startswith("site")] == [
            *("language=de", "language=fr", "time_zone=Pacific/Kiritimati", "brand=news")
        ]
        settings.USE_I18N = settings.USE_TZ = False
        assert {found.name for found in perturbations(fragment)} == {"site", "brand"}
        declare("x.html", name="library.other", vary_on=["host"])(dict)
        tried = [found.text for found in perturbations(fragment)]
        assert [text for text in tried if text.startswith(("scheme", "host"))] == [
            *("host=b.example", "host=c.example")
        ]

    def test_output_by_chance_is_no_narrow_key(
        self, cache_alias: str, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        """The third render differs, which a changed language happens to be around."""
        templates({"x.html": "{{ n }}"})
        numbers = itertools.cycle([0, 0, 1, 0, 1, 1, 0])

        @declare("x.html", name="library.x", version=lambda: 1, vary_on=["-language"])
        def x() -> dict[str, Any]:
            return {"n": next(numbers)}

        assert [finding.kind for finding in findings(x)] == []

    def test_an_axis_that_cannot_be_asked_is_logged_and_left(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        settings: Any,
        artists: list[Artist],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": [f"{__name__}.Broken"]}
        fragment = self.declare(declare, templates, "{{ artist }}")

        assert found(verified(fragment)) == {"instances": 2, "missing": 2}
        assert "The axis 'broken' cannot be perturbed" in caplog.text


@any_cache
@pytest.mark.usefixtures("brands")
class TestTooWide:
    @pytest.fixture
    def declared(self, declare: Any, templates: Any, settings: Any) -> Fragment:
        """A fragment that shows language and half of what else is in its key."""
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        templates({"x.html": "{{ artist.pk }} {{ size }} {{ price }}"})

        @declare(
            "x.html",
            name="library.x",
            items=Artist.objects.all,
            version="updated_at",
            vary_on=["brand"],
            choices={"size": ["s", "l"], "colour": ["red", "blue"]},
        )
        def x(artist: Artist, size: str, colour: str) -> dict[str, Any]:
            return {"artist": artist, "size": size, "price": 1.5}

        fragment: Fragment = x
        return fragment

    def test_what_changes_nothing_is_named_with_advice(
        self, cache_alias: str, declared: Fragment, twelve: list[Artist]
    ) -> None:
        """The time zone has one value only, so nothing is known of it."""
        advice = {finding.about: finding.remedy for finding in findings(declared)}

        assert advice == {
            "The axis 'brand' changed none of the outputs of 96 instances.": (
                "If that holds for all, declare vary_on=[]: one entry then serves all values."
            ),
            "The argument 'colour' changed none of the outputs of 96 instances.": (
                "If that holds for all, take it out: one entry then serves all its values."
            ),
        }
        assert {finding.kind for finding in findings(declared)} == {Kind.TOO_WIDE}

    def test_choices_of_listed_items_are_compared_in_batches_of_any_size(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ n }}"})

        @declare("x.html", name="library.x", items=range(12), choices={"size": ["s", "m", "l"]})
        def x(n: int, size: str) -> dict[str, Any]:
            return {"n": n}

        report = verified(x, batch_size=1)
        [finding] = report.fragments["library.x"].findings
        assert finding.about == "The argument 'size' changed none of the outputs of 12 instances."

    def test_it_is_no_fault(
        self, cache_alias: str, declared: Fragment, twelve: list[Artist]
    ) -> None:
        report = verified(declared)
        assert (report.totals.too_wide, report.faults(strict=True)) == (2, 0)

    def test_an_axis_that_is_on_by_default_is_refused(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any, twelve: list[Artist]
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        templates({"x.html": "{{ artist }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all, vary_on=["-time_zone"])
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        [finding] = findings(x)
        assert "declare vary_on=['-time_zone', '-language']" in finding.remedy

    def test_schemes_and_hosts_are_compared(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any, twelve: list[Artist]
    ) -> None:
        settings.ALLOWED_HOSTS = ["a.example", "b.example"]
        templates({"x.html": "{{ artist }} {{ host }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all, vary_on=["scheme", "host"])
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist, "host": axes.get("host").current(None)}

        [finding] = findings(x)
        assert finding.about == ("The axis 'scheme' changed none of the outputs of 24 instances.")
        assert "declare vary_on=['host']" in finding.remedy

    def test_few_instances_tell_nothing(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any, artists: list[Artist]
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        templates({"x.html": "{{ artist }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        assert findings(x) == []

    def test_one_instance_that_tells_them_apart_is_enough(
        self, cache_alias: str, declare: Any, templates: Any, settings: Any, twelve: list[Artist]
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        last = twelve[-1].pk
        templates({"x.html": "{% if artist.pk == last %}{{ number }}{% endif %}"})

        @declare("x.html", name="library.x", items=Artist.objects.all)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist, "number": 1.5, "last": last}

        assert findings(x) == []
