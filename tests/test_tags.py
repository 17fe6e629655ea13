"""The template tags: what they print, what they refuse, and what they keep out of the cache."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core import mail
from django.template import Context, Engine, TemplateSyntaxError, engines
from django.test import RequestFactory
from django.utils import timezone, translation
from django.utils.safestring import SafeString
from django.utils.translation import get_language, override

from fragcache import Axis, Fragment, InvalidArguments, UndefinedArgument, UnknownFragment
from fragcache.events import Event
from tests.fixtures import RoundTrips, any_cache, happened, without_local_cache
from tests.library.models import Artist

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    without_local_cache,
    pytest.mark.usefixtures("cache_alias"),
]


def page(source: str, request: Any = None, **context: Any) -> str:
    """Return a page's template as it is rendered."""
    template = engines["django"].from_string("{% load fragcache %}" + source)
    return template.render(context, request)


@pytest.fixture
def label(declare: Any, templates: Any, renders: list[Any]) -> Fragment:
    """A fragment of any plain values, in no database."""
    templates({"label.html": "<i>{{ word|default_if_none:'-' }}:{{ size }}</i>"})

    @declare("label.html", name="library.label")
    def label(word: Any, size: Any = 1) -> dict[str, Any]:
        renders.append(word)
        return {"word": word, "size": size}

    fragment: Fragment = label
    return fragment


class TestFragment:
    @pytest.mark.parametrize(
        ("source", "printed"),
        [
            ("{% fragment 'library.label' 'a' %}", "<i>a:1</i>"),
            ('{% fragment "library.label" word %}', "<i>b:1</i>"),
            ("{% fragment name word 2 %}", "<i>b:2</i>"),
            ("{% fragment 'library.label' word size=3 %}", "<i>b:3</i>"),
            ("{% fragment 'library.label' size=word|length word=mapping.word %}", "<i>c:1</i>"),
            ("{% fragment 'library.label' word|upper %}", "<i>B:1</i>"),
            ("({% fragment 'library.label' word as html %})", "()"),
            ("{% fragment 'library.label' word as x %}{{ x }}{{ x }}", "<i>b:1</i><i>b:1</i>"),
            ("{% fragment 'library.label' word size=3 as html %}{{ html }}", "<i>b:3</i>"),
            (
                "{% for word in 'xy' %}{% fragment 'library.label' word %}{% endfor %}",
                "<i>x:1</i><i>y:1</i>",
            ),
        ],
    )
    def test_prints_one_instance(self, label: Fragment, source: str, printed: str) -> None:
        context = {"name": "library.label", "word": "b", "mapping": {"word": "c"}}
        assert page(source, **context) == printed

    def test_prints_the_same_from_the_cache(self, label: Fragment, renders: list[Any]) -> None:
        first = page("{% fragment 'library.label' 'a' %}")
        assert page("{% fragment 'library.label' 'a' %}") == first
        assert renders == ["a"]

    def test_escapes_what_the_fragment_escapes_and_no_more(self, label: Fragment) -> None:
        printed = "<i>&lt;b&gt;:1</i>"
        assert page("{% fragment 'library.label' word %}", word="<b>") == printed
        assert page("{% fragment 'library.label' word as x %}{{ x }}", word="<b>") == printed

    def test_prints_nothing_for_a_missing_instance(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        source = (
            "({% fragment 'library.artist_card' pk %}{{ x }}{% fragment name pk as x %}{{ x }})"
        )
        assert page(source, pk=0, name="library.artist_card") == "()"
        assert happened(Event.ABSENT, "library.artist_card") == 2

    def test_takes_objects_and_keys(self, artist_card: Fragment, artists: list[Artist]) -> None:
        source = "{% fragment 'library.artist_card' artist %}"
        nina = artists[0]
        printed = {page(source, artist=given) for given in (nina, nina.pk, str(nina.pk))}
        assert printed == {"<b>Nina</b>"}
        assert happened(Event.RENDERED) == 1

    def test_puts_a_safe_string_into_the_variable(self, label: Fragment) -> None:
        source = "{% load fragcache %}{% fragment 'library.label' 'a' as html %}"
        context = Context()

        Engine(libraries={"fragcache": "fragcache.templatetags.fragcache"}).from_string(
            source
        ).render(context)

        assert type(context["html"]) is SafeString


class TestFragments:
    def test_print_all_in_one_round_trip(
        self, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        source = "{% fragments 'library.artist_card' artists %}"
        page(source, artists=artists)
        trips.clear()

        assert page(source, artists=artists) == "<b>Nina</b><b>Ella</b>"
        assert trips.commands == ["get_many"]

    def test_cost_one_query_for_a_queryset(
        self, artist_card: Fragment, artists: list[Artist], django_assert_num_queries: Any
    ) -> None:
        for queries in (2, 1):  # the first time, the rows to render as well
            with django_assert_num_queries(queries):
                html = page(
                    "{% fragments 'library.artist_card' artists %}",
                    artists=Artist.objects.order_by("-name"),
                )
            assert html == "<b>Nina</b><b>Ella</b>"

    @pytest.mark.parametrize(
        ("source", "printed"),
        [
            ("{% fragments 'library.label' words %}", "<i>a:1</i><i>b:1</i>"),
            ("{% fragments 'library.label' words size=2 %}", "<i>a:2</i><i>b:2</i>"),
            ("{% fragments 'library.label' pairs %}", "<i>a:8</i><i>b:9</i>"),
            ("({% fragments 'library.label' nothing %})", "()"),
            (
                "{% fragments 'library.label' words as x %}{{ x|length }}{{ x.0 }}{{ x.1 }}",
                "2<i>a:1</i><i>b:1</i>",
            ),
            (
                "{% fragments 'library.label' words as x %}{% for h in x %}-{{ h }}{% endfor %}",
                "-<i>a:1</i>-<i>b:1</i>",
            ),
        ],
    )
    def test_print_many_instances(self, label: Fragment, source: str, printed: str) -> None:
        context = {"words": ["a", "b"], "pairs": [("a", 8), ("b", 9)], "nothing": []}
        assert page(source, **context) == printed

    def test_print_nothing_for_those_that_are_missing(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        source = "{% fragments 'library.artist_card' pks as x %}{{ x|length }}{{ x|join:'|' }}"
        assert page(source, pks=[0, artists[0].pk]) == "2|<b>Nina</b>"


class TestGrammar:
    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            ("fragment", r"{% fragment %} needs the name of a fragment\."),
            ("fragments", r"{% fragments %} needs the name of a fragment\."),
            ("fragment 'x' size=1 word", r"{% fragment %}: 'word' stands after a name=value: put"),
            ("fragment 'x' size=1 size=2", r"{% fragment %} gets 'size' twice\."),
            ("fragment 'x' word as", r"{% fragment %}: 'as' stands before one name, at the end\."),
            ("fragment 'x' as y z", r"{% fragment %}: 'as' stands before one name, at the end\."),
            ("fragment 'x' default=1", r"{% fragment %}: 'default' cannot be given in a template"),
            ("fragment 'x' request=1", r"{% fragment %}: 'request' cannot be given in a template"),
            ("fragments 'x'", r"{% fragments %} takes a name and one list .* got 0 arguments"),
            ("fragments 'x' a b", r"{% fragments %} takes a name and one list .* got 2 arguments"),
            ("fragments 'x' a as", r"{% fragments %}: 'as' stands before one name, at the end\."),
        ],
    )
    def test_mistakes_are_told_when_the_template_is_compiled(self, tag: str, message: str) -> None:
        with pytest.raises(TemplateSyntaxError, match=message):
            page("{% " + tag + " %}")

    def test_an_unknown_name_is_told_with_the_nearest(self, label: Fragment) -> None:
        with pytest.raises(UnknownFragment, match=r"Did you mean 'library\.label'"):
            page("{% fragment 'library.lable' 1 %}")

    def test_arguments_that_do_not_fit_are_told(self, label: Fragment) -> None:
        with pytest.raises(InvalidArguments, match=r"no parameter 'sise'\. Did you mean 'size'"):
            page("{% fragment 'library.label' 1 sise=2 %}")


UNDEFINED = [
    pytest.param("{% fragment 'library.label' wrod %}", "wrod", "<i>-:1</i>", id="variable"),
    pytest.param("{% fragment 'library.label' word.x %}", "word.x", "<i>-:1</i>", id="attribute"),
    pytest.param("{% fragment 'library.label' wrod|upper %}", "wrod|upper", None, id="filter"),
    pytest.param(
        "{% fragment 'library.label' wrod|default_if_none:1 %}",
        "wrod|default_if_none:1",
        "<i>-:1</i>",
        id="default_if_none",  # which Django does not apply to what is undefined
    ),
    pytest.param("{% fragment 'library.label' 1 size=sise %}", "sise", "<i>1:None</i>", id="kwarg"),
    pytest.param("{% fragments 'library.label' wrods %}", "wrods", "", id="items"),
    pytest.param("{% fragments 'library.label' words size=sise %}", "sise", None, id="fragments"),
    pytest.param(
        "{% with x=1 %}{% include 'inner.html' %}{% endwith %}", "wrod", "<i>-:1</i>", id="include"
    ),
]


class TestUndefinedArguments:
    """Under the key of nothing, one visitor's data would be kept for all."""

    @pytest.fixture(autouse=True)
    def inner_template(self, templates: Any) -> None:
        templates({"inner.html": "{% load fragcache %}{% fragment 'library.label' wrod %}"})

    @pytest.fixture
    def in_production(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.DEBUG = False
        monkeypatch.delattr(mail, "outbox")

    @pytest.mark.parametrize(("source", "name", "printed"), UNDEFINED)
    @pytest.mark.parametrize("debug", [True, False])
    def test_are_errors_in_debug_and_in_tests(
        self,
        label: Fragment,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
        debug: bool,
        source: str,
        name: str,
        printed: str | None,
    ) -> None:
        settings.DEBUG = debug
        if debug:
            monkeypatch.delattr(mail, "outbox")
        with pytest.raises(UndefinedArgument) as raised:
            page(source, word="w", words=["w"])
        assert str(raised.value) == (
            f"{{% fragment 'library.label' %}}: {name} does not resolve. Is it misspelled, or "
            "not passed to this template? Where it may be absent, add |default:None."
        )

    @pytest.mark.parametrize(("source", "name", "printed"), UNDEFINED)
    def test_are_rendered_counted_and_not_stored_in_production(
        self,
        in_production: None,
        label: Fragment,
        trips: RoundTrips,
        caplog: pytest.LogCaptureFixture,
        source: str,
        name: str,
        printed: str | None,
    ) -> None:
        for shown in (1, 2):
            html = page(source, word="w", words=["w"])
            assert printed is None or html == printed
            assert happened(Event.UNDEFINED_ARGUMENT, "library.label") == shown

        assert trips.of("store_many") == trips.of("advance_many") == []
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert f"{name} does not resolve" in record.message

    def test_that_fit_no_instance_print_nothing_in_production(
        self, in_production: None, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        assert page("({% fragment 'library.artist_card' atrist %})", artist=artists[0]) == "()"

    @pytest.mark.parametrize(
        "source",
        [
            "{% fragment 'library.label' mapping.absent %}",
            "{% fragment 'library.label' outer.mapping.absent %}",
            "{% fragment 'library.label' wrod|default:None %}",
            "{% fragment 'library.label' none|default_if_none:None %}",
            "{% fragment 'library.label' None %}",
            "{% fragment 'library.label' none %}",
        ],
    )
    def test_are_not_the_absent_keys_of_mappings_nor_what_has_a_default(
        self, label: Fragment, source: str
    ) -> None:
        html = page(source, mapping={"a": 1}, outer={"mapping": {}}, none=None)

        assert html == "<i>-:1</i>"
        assert happened(Event.STORED) == 1


class Tenant(Axis):
    """What host a page is for; outside of a request, the one that is active."""

    name = "tenant"
    active = ContextVar("active", default="a.example")

    def current(self, request: Any) -> str:
        return self.active.get() if request is None else str(request.get_host())

    def values(self) -> list[str]:
        return ["a.example", "b.example"]

    @contextmanager
    def activate(self, value: str) -> Iterator[None]:
        former = self.active.set(value)
        try:
            yield
        finally:
            self.active.reset(former)


class TestAxes:
    @pytest.fixture
    def banner(self, declare: Any, templates: Any, settings: Any, renders: list[Any]) -> Fragment:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.test_tags.Tenant"]}
        templates({"banner.html": "{{ number }}: {{ tenant }}"})

        @declare("banner.html", name="library.banner", vary_on=["tenant"])
        def banner() -> dict[str, Any]:
            renders.append(1)
            return {"number": len(renders), "tenant": Tenant.active.get()}

        fragment: Fragment = banner
        return fragment

    def test_get_the_request_and_are_in_force_where_it_is_not_seen(
        self, banner: Fragment, rf: RequestFactory
    ) -> None:
        source = "{% fragment 'library.banner' %}"
        first, second = (rf.get("/", headers={"host": f"{x}.example"}) for x in "ab")

        assert page(source, first) == page(source, first) == "1: a.example"
        assert page(source, second) == page(source, second) == "2: b.example"
        assert page(source) == "1: a.example"

    def test_get_no_other_variable_of_that_name(self, banner: Fragment) -> None:
        assert page("{% fragment 'library.banner' %}", request="a text") == "1: a.example"

    @pytest.mark.parametrize(
        "other",
        [lambda: translation.override("de"), lambda: timezone.override("Asia/Tokyo")],
        ids=["language", "time zone"],
    )
    def test_keep_languages_and_time_zones_apart(
        self, declare: Any, templates: Any, other: Callable[[], Any]
    ) -> None:
        templates({"x.html": "{% load tz l10n %}{{ price }} {{ moment|date:'H' }}"})
        moment = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)

        @declare("x.html", name="library.price")
        def x() -> dict[str, Any]:
            return {"price": 1.5, "moment": moment}

        for _read in range(2):
            here = page("{% fragment 'library.price' %}")
            with other():
                there = page("{% fragment 'library.price' %}")
            assert here == "1.5 12"
            assert there in {"1,5 12", "1.5 21"}
        assert happened(Event.RENDERED) == 2


class TestNesting:
    @pytest.fixture
    def artists_list(self, declare: Any, templates: Any, artist_card: Fragment) -> Fragment:
        """A fragment that shows another one for each artist."""
        templates(
            {
                "list.html": "{% load fragcache %}<ul>{% fragments 'library.artist_card' artists"
                " as cards %}{% for card in cards %}<li>{{ card }}</li>{% endfor %}</ul>"
            }
        )

        @declare("list.html", name="library.artists")
        def artists_list() -> dict[str, Any]:
            return {"artists": Artist.objects.order_by("pk")}

        fragment: Fragment = artists_list
        return fragment

    def test_inner_fragments_are_stored_as_well(
        self, artists_list: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        source = "{% fragment 'library.artists' %}{% fragment 'library.artist_card' artist %}"

        html = page(source, artist=artists[0])

        assert html == "<ul><li><b>Nina</b></li><li><b>Ella</b></li></ul><b>Nina</b>"
        assert len(renders) == 2

    def test_a_changed_inner_template_renders_the_outer_one_anew(
        self, artists_list: Fragment, artists: list[Artist], templates: Any
    ) -> None:
        page("{% fragment 'library.artists' %}")
        templates({"artist_card.html": "<u>{{ artist.name }}</u>"})

        html = page("{% fragment 'library.artists' %}")
        assert html == "<ul><li><u>Nina</u></li><li><u>Ella</u></li></ul>"

    def test_what_an_inner_fragment_keeps_out_of_the_cache_the_outer_one_does_too(
        self,
        label: Fragment,
        declare: Any,
        templates: Any,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
        trips: RoundTrips,
    ) -> None:
        monkeypatch.delattr(mail, "outbox")
        templates(
            {
                "inner.html": "{% load fragcache %}{% fragment 'library.label' wrod %}",
                "outer.html": "{% load fragcache %}{% fragment 'library.inner' %}!",
            }
        )
        declare("inner.html", name="library.inner")(nothing)
        declare("outer.html", name="library.outer")(nothing)

        for _read in range(2):
            assert page("{% fragment 'library.outer' %}") == "<i>-:1</i>!"
        assert trips.of("store_many") == trips.of("advance_many") == []


def nothing() -> dict[str, Any]:
    return {}


class TestSurroundings:
    def test_an_outer_fragment_that_does_not_vary_like_an_inner_one_is_not_stored(
        self, declare: Any, templates: Any
    ) -> None:
        templates(
            {
                "inner.html": "{{ language }}",
                "outer.html": "{% load fragcache %}{% fragment 'library.inner' %}",
            }
        )

        @declare("inner.html", name="library.inner")
        def inner() -> dict[str, Any]:
            return {"language": get_language()}

        @declare("outer.html", name="library.outer", vary_on=["-language"])
        def outer() -> dict[str, Any]:
            return {}

        for language in ("de", "en", "de"):
            with override(language):
                assert page("{% fragment 'library.outer' %}") == language

    @pytest.mark.parametrize("nothing", [None, "", AnonymousUser()])
    def test_an_empty_relation_and_nobody_print_nothing(
        self, artist_card: Fragment, nothing: Any
    ) -> None:
        assert page("[{% fragment 'library.artist_card' nothing %}]", nothing=nothing) == "[]"

    def test_a_time_zone_of_a_fixed_offset_is_rendered_under_itself(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        with timezone.override(timezone.get_fixed_timezone(120)):
            html = page("{% fragment 'library.artist_card' artist %}", artist=artists[0])
        assert html == "<b>Nina</b>"

    def test_what_cannot_be_encoded_is_shown_and_not_stored(
        self, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "{{ text }}"})

        @declare("x.html", name="library.odd", version=lambda: 1)
        def odd() -> dict[str, Any]:
            return {"text": "\ud800"}

        assert page("{% fragment 'library.odd' %}") == "\ud800"
        assert happened(Event.STORED) == 0

    def test_an_include_whose_parent_a_variable_names_is_shown_and_not_stored(
        self, declare: Any, templates: Any
    ) -> None:
        templates(
            {
                "x.html": "{% include chosen %}",
                "child.html": "{% extends parent %}",
                "base.html": "base",
            }
        )

        @declare("x.html", name="library.odd", version=lambda: 1)
        def odd() -> dict[str, Any]:
            return {"chosen": "child.html", "parent": "base.html"}

        assert page("{% fragment 'library.odd' %}") == "base"
        assert happened(Event.STORED) == 0
