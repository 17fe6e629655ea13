"""Axes: what output varies on without being given, and what is warmed of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone, translation

from fragcache import Axis, ImproperlyDeclared, UnknownAxis, axes
from fragcache.axes import activated, combinations, current_values, plan

Declare = Callable[..., Any]
PATH = f"{__name__}.Tenant"


class Tenant(Axis):
    """An axis of one's own: from the request, or what was activated outside of one."""

    name = "tenant"
    active = threading.local()

    def current(self, request: HttpRequest | None) -> str | None:
        if request is not None:
            return request.headers.get("X-Tenant")
        return getattr(self.active, "tenant", None)

    def values(self) -> Iterable[str]:
        return iter(["red", "blue"])

    @contextmanager
    def activate(self, value: str) -> Iterator[None]:
        former = self.current(None)
        self.active.tenant = value
        try:
            yield
        finally:
            self.active.tenant = former


@pytest.fixture
def tenants(settings: Any) -> None:
    settings.FRAGCACHE = {"AXES": [PATH]}


# Which axes a fragment has


@pytest.mark.parametrize(
    ("use_i18n", "use_tz", "vary_on", "names"),
    [
        pytest.param(True, True, [], ("language", "time_zone"), id="by default"),
        pytest.param(False, True, [], ("time_zone",), id="without translation"),
        pytest.param(True, False, [], ("language",), id="without time zones"),
        pytest.param(False, False, [], (), id="without both"),
        pytest.param(False, False, ["language"], ("language",), id="asked for"),
        pytest.param(True, True, ["language"], ("language", "time_zone"), id="named again"),
        pytest.param(True, True, ["-language"], ("time_zone",), id="language refused"),
        pytest.param(True, True, ["-language", "-time_zone"], (), id="both refused"),
        pytest.param(False, True, ["-language"], ("time_zone",), id="refused though off"),
        pytest.param(True, True, ["site"], ("language", "site", "time_zone"), id="site"),
        pytest.param(True, True, ["tenant", "-time_zone"], ("language", "tenant"), id="one's own"),
    ],
)
@pytest.mark.usefixtures("tenants")
def test_language_and_time_zone_are_axes_unless_refused(
    settings: Any, use_i18n: bool, use_tz: bool, vary_on: list[str], names: tuple[str, ...]
) -> None:
    settings.USE_I18N = use_i18n
    settings.USE_TZ = use_tz

    assert plan(vary_on) == names


def test_a_declaration_carries_its_axes(declare: Declare) -> None:
    @declare("x.html", vary_on=["site", "-language"])
    def menu() -> dict[str, Any]:
        return {}

    assert menu.axes == ("site", "time_zone")


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("langauge", " Did you mean 'language'?"),
        ("-langauge", " Did you mean 'language'?"),
        ("tenants", " Did you mean 'tenant'?"),
        ("timezone", " Did you mean 'time_zone'?"),
        ("qqq", ""),
    ],
)
def test_an_unknown_axis_says_the_nearest_and_all(name: str, hint: str) -> None:
    message = (
        f"{name.removeprefix('-')!r} is not an axis.{hint} Known are host, language, scheme, "
        "site, tenant, time_zone; add your own to FRAGCACHE['AXES']."
    )

    with pytest.raises(UnknownAxis, match=re.escape(message)):
        plan([name])


def test_one_text_is_no_list_of_axes() -> None:
    message = "vary_on='site' is one string: write vary_on=['site']."

    with pytest.raises(ImproperlyDeclared, match=re.escape(message)):
        plan("site")


def test_without_the_sites_app_there_is_no_site(settings: Any) -> None:
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "django.contrib.sites"
    ]

    with pytest.raises(UnknownAxis, match="'site' is not an axis"):
        plan(["site"])


def test_an_axis_of_ones_own_is_known_while_the_setting_names_it(settings: Any) -> None:
    with pytest.raises(UnknownAxis, match="'tenant' is not an axis"):
        plan(["tenant"])
    settings.FRAGCACHE = {"AXES": [PATH]}
    assert "tenant" in plan(["tenant"])
    settings.FRAGCACHE = {}
    with pytest.raises(UnknownAxis, match="'tenant' is not an axis"):
        plan(["tenant"])


# The values in force


def test_current_values_are_those_in_force() -> None:
    names = ("language", "time_zone")

    with translation.override("de"), timezone.override("Asia/Kathmandu"):
        assert current_values(names, None) == {"language": "de", "time_zone": "Asia/Kathmandu"}
    assert current_values(names, None) == {"language": "en-us", "time_zone": "UTC"}


def test_no_language_is_a_value_as_well() -> None:
    with translation.override(None):
        assert current_values(["language"], None) == {"language": None}


@pytest.mark.parametrize("zone", ["Etc/UTC", "Etc/GMT+5", "EST", "Europe/Vienna", "GMT"])
def test_two_time_zones_are_two_even_where_their_abbreviations_are_one(zone: str) -> None:
    with timezone.override(zone):
        assert current_values(["time_zone"], None) == {"time_zone": zone}


def test_an_offset_is_a_time_zone() -> None:
    with timezone.override(timezone.get_fixed_timezone(90)):
        assert current_values(["time_zone"], None) == {"time_zone": "+0130"}


@pytest.mark.usefixtures("tenants")
def test_an_axis_of_ones_own_is_given_the_request() -> None:
    request = RequestFactory().get("/", headers={"X-Tenant": "green"})

    assert current_values(["tenant"], request) == {"tenant": "green"}
    assert current_values(["tenant"], None) == {"tenant": None}


@pytest.mark.django_db
def test_the_site_is_that_of_the_setting_or_of_the_requests_host(settings: Any) -> None:
    site = Site.objects.create(domain="red.example", name="red")
    request = RequestFactory().get("/", headers={"Host": "red.example"})
    assert current_values(["site"], request) == {"site": settings.SITE_ID}

    settings.SITE_ID = None

    assert current_values(["site"], request) == {"site": site.pk}


# Activation


@pytest.mark.usefixtures("tenants")
def test_activated_values_are_in_force_and_the_former_ones_afterwards() -> None:
    values = {"language": "de", "tenant": "red", "time_zone": "Asia/Kathmandu", "site": 7}
    former = (translation.get_language(), timezone.get_current_timezone_name(), 1)

    with activated(values):
        assert translation.get_language() == "de"
        assert timezone.get_current_timezone_name() == "Asia/Kathmandu"
        assert django_settings.SITE_ID == 7
        assert Tenant().current(None) == "red"
        with activated({"language": "fr", "tenant": "blue"}):
            assert (translation.get_language(), Tenant().current(None)) == ("fr", "blue")
        assert (translation.get_language(), Tenant().current(None)) == ("de", "red")

    now = (
        translation.get_language(),
        timezone.get_current_timezone_name(),
        django_settings.SITE_ID,
    )
    assert now == former
    assert Tenant().current(None) is None


@pytest.mark.usefixtures("tenants")
def test_an_error_restores_the_former_values() -> None:
    former = (translation.get_language(), django_settings.SITE_ID, Tenant().current(None))

    with (
        pytest.raises(ZeroDivisionError),
        activated({"language": "de", "site": 7, "tenant": "red"}),
    ):
        _ = 1 / 0

    assert (translation.get_language(), django_settings.SITE_ID, Tenant().current(None)) == former


def test_an_axis_that_cannot_be_activated_leaves_the_others_as_they_were() -> None:
    former = translation.get_language()

    with pytest.raises(UnknownAxis), activated({"language": "de", "zzz": 1}):
        pass

    assert translation.get_language() == former


# What is warmed


def test_the_language_of_the_site_is_warmed_alone_by_default() -> None:
    assert not django_settings.is_overridden("LANGUAGES")
    assert axes.get("language").values() == ["en-us"]


def test_the_languages_that_the_project_sets_are_all_warmed(settings: Any) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German"), ("pt-br", "Portuguese")]

    assert axes.get("language").values() == ["en", "de", "pt-br"]


def test_the_time_zone_of_the_site_is_warmed(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Vienna"

    assert axes.get("time_zone").values() == ["Europe/Vienna"]


@pytest.mark.django_db
def test_all_sites_are_warmed() -> None:
    site = Site.objects.create(domain="red.example", name="red")

    assert axes.get("site").values() == [django_settings.SITE_ID, site.pk]


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("zone", ["Etc/UTC", "Etc/GMT+5", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize("language", ["pt-BR", "zh-Hans", "de"])
def test_what_is_warmed_is_what_pages_find_in_force(
    settings: Any, zone: str, language: str
) -> None:
    """Keys of entries that are warmed hold the listed value, those of pages the current one."""
    settings.TIME_ZONE = zone
    settings.LANGUAGES = [(language, "a language")]
    settings.LANGUAGE_CODE = language
    names = ("language", "tenant", "time_zone")

    for values in combinations(names):
        with activated(values):
            assert current_values(names, None) == values
    with translation.override(language):
        assert current_values(("language", "time_zone"), None).items() <= values.items()


@pytest.mark.usefixtures("tenants")
def test_all_combinations_are_warmed(settings: Any) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German")]

    assert combinations(("language", "tenant")) == [
        {"language": "en", "tenant": "red"},
        {"language": "en", "tenant": "blue"},
        {"language": "de", "tenant": "red"},
        {"language": "de", "tenant": "blue"},
    ]


@pytest.mark.usefixtures("tenants")
def test_chosen_values_are_warmed_instead() -> None:
    assert combinations(("language", "tenant"), {"language": ["fr"], "tenant": ["green"]}) == [
        {"language": "fr", "tenant": "green"}
    ]
    assert combinations(("language", "tenant"), {"language": ["fr"]}) == [
        {"language": "fr", "tenant": "red"},
        {"language": "fr", "tenant": "blue"},
    ]


def test_without_axes_there_is_one_combination() -> None:
    assert combinations(()) == [{}]


def test_an_axis_has_to_say_all_three_things() -> None:
    for call in (lambda: Axis().current(None), Axis().values, lambda: Axis().activate(1)):
        with pytest.raises(NotImplementedError):
            call()
