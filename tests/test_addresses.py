"""Absolute addresses: a page shows those of its own scheme and host, and a run makes them all."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.template import Context, Library, RequestContext, Template, engines
from django.test import RequestFactory

from fragcache import (
    Fragment,
    ImproperlyDeclared,
    InvalidArguments,
    Leak,
    absolute_uri,
    axes,
    get_fragment,
    render_fragment,
)
from fragcache.events import Event
from fragcache.management.selection import axis_values_of
from fragcache.testing import assert_fragment_sound
from tests.fixtures import any_cache, happened, in_request, warm

pytestmark = pytest.mark.django_db
HOSTS = ["www.example.com", "example.org:8443"]


@pytest.fixture(autouse=True)
def hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = [*HOSTS, ".example.net", "*"]


@pytest.fixture
def share(declare: Any, templates: Any, renders: list[Any]) -> Fragment:
    """A fragment that shows its own address."""
    return declared(declare, templates, renders, ["scheme", "host"])


def declared(declare: Any, templates: Any, renders: list[Any], vary_on: list[str]) -> Fragment:
    templates({"share.html": "{{ address }}"})

    @declare("share.html", name="library.share", version=lambda: 1, vary_on=vary_on)
    def share() -> dict[str, Any]:
        renders.append(1)
        return {"address": absolute_uri("/ä/?a=1&b=2").replace("&", "+")}

    fragment: Fragment = share
    return fragment


def asked(scheme: str, host: str) -> HttpRequest:
    return RequestFactory().get("/", secure=scheme == "https", headers={"host": host})


@any_cache
class TestPages:
    def test_show_those_of_their_own_scheme_and_host(
        self, cache_alias: str, share: Fragment, renders: list[Any]
    ) -> None:
        for _again in range(2):
            for scheme in ("http", "https"):
                for host in (*HOSTS, "new.example.net"):
                    with in_request():
                        html = get_fragment(share, request=asked(scheme, host))
                    assert html == f"{scheme}://{host}/%C3%A4/?a=1+b=2"
        assert len(renders) == 6

    def test_find_what_a_run_has_made(
        self, cache_alias: str, share: Fragment, renders: list[Any]
    ) -> None:
        assert warm(share).totals.stored == 4
        for scheme in ("http", "https"):
            for host in HOSTS:
                html = get_fragment(share, request=asked(scheme, host.upper()))
                assert html == f"{scheme}://{host}/%C3%A4/?a=1+b=2"
        assert len(renders) == 4

    def test_pass_the_request_by_their_context(self, cache_alias: str, share: Fragment) -> None:
        template = Template("{% load fragcache %}{% fragment 'library.share' %}")
        with in_request():
            html = template.render(RequestContext(asked("http", "www.example.com")))
        assert html.startswith("http://www.example.com/")

    def test_show_their_own_without_the_cache_too(
        self, cache_alias: str, share: Fragment, settings: Any
    ) -> None:
        request = asked("http", "example.org:8443")
        with in_request():
            assert render_fragment(share, request=request).startswith("http://example.org:8443/")
            settings.FRAGCACHE = {**settings.FRAGCACHE, "ENABLED": False}
            assert get_fragment(share, request=request).startswith("http://example.org:8443/")

    def test_that_do_not_pass_it_are_told(self, cache_alias: str, share: Fragment) -> None:
        with (
            in_request(),
            pytest.raises(ImproperlyDeclared, match=r"axis 'host' is the request's.*request="),
        ):
            get_fragment(share)

    def test_of_a_host_that_is_not_allowed_are_refused(
        self, cache_alias: str, share: Fragment, settings: Any
    ) -> None:
        settings.ALLOWED_HOSTS = HOSTS[:1]
        with pytest.raises(DisallowedHost):
            get_fragment(share, request=asked("http", "evil.example"))

    @pytest.mark.parametrize(
        ("vary_on", "lacking"),
        [([], "host, scheme"), (["scheme"], "host"), (["host"], "scheme")],
    )
    def test_keep_nothing_that_does_not_vary_on_both(
        self,
        cache_alias: str,
        declare: Any,
        templates: Any,
        renders: list[Any],
        caplog: pytest.LogCaptureFixture,
        vary_on: list[str],
        lacking: str,
    ) -> None:
        fragment = declared(declare, templates, renders, vary_on)
        assert get_fragment(fragment).startswith("https://www.example.com/")
        assert happened(Event.STORED) == 0
        assert (
            f"library.share is not stored: it shows what varies on {lacking}, on which it does "
            "not vary."
        ) in caplog.text

    def test_keep_nothing_around_it_that_does_not(
        self, cache_alias: str, share: Fragment, declare: Any, templates: Any
    ) -> None:
        templates({"share.html": "{{ address }}", "outer.html": "{{ inner }}"})

        @declare("outer.html", name="library.outer", vary_on=["scheme"])
        def outer() -> dict[str, Any]:
            return {"inner": get_fragment(share)}

        get_fragment(outer, request=asked("http", HOSTS[0]))
        assert happened(Event.STORED, "library.share") == 1
        assert happened(Event.STORED, "library.outer") == 0

    def test_blocks_are_told_them_too(self, cache_alias: str) -> None:
        template = Template(
            "{% load fragcache %}{% cache 60 x vary_on='scheme, host' %}"
            "{{ request.scheme }} {{ request.get_host }}{% endcache %}"
        )
        for scheme, host in (("http", HOSTS[0]), ("https", HOSTS[0]), ("https", HOSTS[1])):
            request = asked(scheme, host)
            assert template.render(RequestContext(request)) == f"{scheme} {host}"
        assert happened(Event.STORED) == 3

    @pytest.mark.parametrize(
        ("vary_on", "reading"),
        [
            ("scheme", "{{ request.get_host }}"),
            ("host", "{{ request.scheme }}"),
            ("scheme", "{% address '/about/' %}"),
            ("host", "{% address '/about/' %}"),
            ("scheme, host", "{% address 'about/' %}"),
            ("scheme, host", "{{ request.build_absolute_uri }}"),
        ],
    )
    def test_blocks_that_show_more_of_the_request_are_leaks(
        self, cache_alias: str, address: None, vary_on: str, reading: str
    ) -> None:
        with pytest.raises(Leak, match=r"reads request\.(scheme|get_host|path|get_full_path)"):
            block(vary_on, reading, asked("http", HOSTS[0]))

    @pytest.mark.parametrize(
        ("vary_on", "reading", "shown"),
        [
            ("scheme, host", "{% address '/about/' %}", "http://www.example.com/about/"),
            ("scheme, host", "{% address 'ftp://x.example/y' %}", "ftp://x.example/y"),
            ("scheme", "{{ request.scheme }}{{ request.is_secure }}", "httpFalse"),
        ],
    )
    def test_blocks_may_show_what_they_are_told(
        self, cache_alias: str, address: None, vary_on: str, reading: str, shown: str
    ) -> None:
        assert block(vary_on, reading, asked("http", HOSTS[0])) == shown
        assert happened(Event.STORED) == 1


def block(vary_on: str, body: str, request: HttpRequest) -> str:
    source = f"{{% load fragcache page_tags %}}{{% cache 60 x vary_on='{vary_on}' %}}{body}"
    context = RequestContext(request, {"request": request})
    return str(Template(f"{source}{{% endcache %}}").render(context))


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag that shows an address by the request."""
    register = Library()

    @register.simple_tag(takes_context=True)
    def address(context: Context, location: str) -> str:
        return str(context["request"].build_absolute_uri(location))

    monkeypatch.setitem(engines["django"].engine.template_libraries, "page_tags", register)


class TestValues:
    def test_hosts_are_those_that_are_named(self) -> None:
        assert axes.get("host").values() == HOSTS

    def test_or_else_the_domains_of_sites(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*", ".example.com"]
        Site.objects.create(domain="two.example", name="two")
        assert axes.get("host").values() == ["example.com", "two.example"]

    def test_or_else_none_and_that_is_told(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        settings.INSTALLED_APPS = [
            app for app in settings.INSTALLED_APPS if app != "django.contrib.sites"
        ]
        assert axes.get("host").values() == []
        with pytest.raises(ImproperlyDeclared, match=r"'host' has no value.*ALLOWED_HOSTS"):
            absolute_uri("/")

    def test_schemes_are_both_unless_one_redirects(self, settings: Any) -> None:
        assert axes.get("scheme").values() == ["https", "http"]
        settings.SECURE_SSL_REDIRECT = True
        assert axes.get("scheme").values() == ["https"]

    def test_a_subclass_names_others(self, settings: Any) -> None:
        settings.FRAGCACHE = {"AXES": [f"{__name__}.Shops"]}
        assert axes.get("host").values() == ["red.example", "blue.example"]
        assert absolute_uri("/") == "https://red.example/"

    def test_a_value_is_given_by_name(self, share: Fragment, settings: Any) -> None:
        given = ["host=New.example.net", "host=example.org:8443", "scheme=http"]
        settings.ALLOWED_HOSTS = settings.ALLOWED_HOSTS[:3]
        assert axis_values_of(given, [share]) == {
            "host": ["new.example.net", "example.org:8443"],
            "scheme": ["http"],
        }
        for wrong, why in (
            ("host=evil.example", "ALLOWED_HOSTS does not allow it"),
            ("host=a b", "ALLOWED_HOSTS does not allow it"),
            ("scheme=ftp", "it is none of https, http"),
        ):
            with pytest.raises(InvalidArguments, match=f"--axis '{wrong}': {why}"):
                axis_values_of([wrong], [share])

    def test_those_of_development_are_given_by_name(self, share: Fragment, settings: Any) -> None:
        settings.ALLOWED_HOSTS, settings.DEBUG = [], True
        given = ["host=localhost:8000", "host=127.0.0.1:8000"]
        assert axis_values_of(given, [share])["host"] == ["localhost:8000", "127.0.0.1:8000"]


class Shops(axes.Host):
    def values(self) -> list[str]:
        return ["red.example", "blue.example"]


class TestAbsoluteAddresses:
    def test_are_the_first_ones_where_nothing_else_is_known(self) -> None:
        assert absolute_uri("/x/") == "https://www.example.com/x/"

    def test_are_those_that_are_activated_in_one_thread_alone(self) -> None:
        elsewhere: list[str] = []
        with axes.activated({"scheme": "http", "host": "b.example"}):
            with axes.activated({"host": "c.example"}):
                assert absolute_uri("/") == "http://c.example/"
            assert absolute_uri("/") == "http://b.example/"
            thread = threading.Thread(target=lambda: elsewhere.append(absolute_uri("/")))
            thread.start()
            thread.join()
        assert elsewhere == ["https://www.example.com/"]

    @pytest.mark.parametrize("location", ["x/", "", "//evil.example/", "https://evil.example/"])
    def test_are_made_of_paths_alone(self, location: str) -> None:
        with pytest.raises(ValueError, match=r"give a path from the root of the site"):
            absolute_uri(location)


@any_cache
def test_an_axis_that_is_not_named_costs_nothing(
    cache_alias: str, declare: Any, templates: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asks for the host, which would be refused."""
    settings.ALLOWED_HOSTS = []
    templates({"plain.html": "plain"})

    @declare("plain.html", name="library.plain", version=lambda: 1)
    def plain() -> dict[str, Any]:
        return {}

    with caplog.at_level(logging.WARNING), in_request():
        assert get_fragment(plain, request=asked("http", "evil.example")) == "plain"
    assert warm(plain).totals.planned == 1
    assert caplog.text == ""


@any_cache
def test_a_fragment_with_addresses_is_sound(cache_alias: str, share: Fragment) -> None:
    """The request that differs is not what it shows: its axes are."""
    assert_fragment_sound(share)
