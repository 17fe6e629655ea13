"""Jinja2: its functions and its block tag show and keep what the tags of Django's templates do."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template import engines
from django.test import RequestFactory

from fragcache import Fragment, InvalidArguments, UndefinedArgument, UnknownFragment
from fragcache.digests import digest_of
from fragcache.events import Event
from tests.fixtures import RoundTrips, happened
from tests.jinja2_pages import Jinja, page
from tests.library.models import Artist

jinja2 = pytest.importorskip("jinja2")

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded", "redis"], indirect=True),
    pytest.mark.usefixtures("cache_alias", "jinja"),
]


@pytest.fixture
def label(declare: Any, templates: Any, jinja: Jinja, renders: list[Any]) -> Fragment:
    """A fragment of plain values, whose template is one of Jinja2's."""
    jinja({"label.html": "<i>{{ word }}:{{ size }}</i>"})

    @declare("label.html", name="library.label")
    def label(word: Any, size: Any = 1) -> dict[str, Any]:
        renders.append(word)
        return {"word": word, "size": size}

    fragment: Fragment = label
    return fragment


class TestFunctions:
    @pytest.mark.parametrize(
        ("source", "printed"),
        [
            ("{{ fragment('library.label', 'a') }}", "<i>a:1</i>"),
            ("{{ fragment(name, word, 2) }}", "<i>b:2</i>"),
            ("{{ fragment('library.label', word, size=3) }}", "<i>b:3</i>"),
            ("{{ fragment('library.label', size=4, word=word|upper) }}", "<i>B:4</i>"),
            ("{% set x = fragment('library.label', 'a') %}{{ x }}{{ x }}", "<i>a:1</i>" * 2),
            ("{{ fragments('library.label', words) }}", "<i>x:1</i><i>y:1</i>"),
            ("{{ fragments('library.label', words, size=2) }}", "<i>x:2</i><i>y:2</i>"),
            ("{{ fragments('library.label', pairs) }}", "<i>x:8</i><i>y:9</i>"),
            ("({{ fragments('library.label', nothing) }})", "()"),
            (
                "{% for html in fragments('library.label', words) %}-{{ html }}{% endfor %}",
                "-<i>x:1</i>-<i>y:1</i>",
            ),
            ("{{ fragments('library.label', words)|join('|') }}", "<i>x:1</i>|<i>y:1</i>"),
            ("{{ fragments('library.label', words)|length }}", "2"),
            ("{% autoescape false %}{{ fragments(name, words) }}{% endautoescape %}",
             "<i>x:1</i><i>y:1</i>"),
        ],
    )  # fmt: skip
    def test_print_instances(self, label: Fragment, source: str, printed: str) -> None:
        context = {
            "name": "library.label",
            "word": "b",
            "words": ["x", "y"],
            "pairs": [("x", 8), ("y", 9)],
            "nothing": None,
        }
        assert page(source, **context) == page(source, **context) == printed

    def test_print_50_instances_in_one_round_trip(
        self, artist_card: Fragment, trips: RoundTrips
    ) -> None:
        artists = Artist.objects.bulk_create(Artist(name=f"a{n}") for n in range(50))
        source = "{{ fragments('library.artist_card', artists) }}"
        html = page(source, artists=artists)
        trips.clear()

        assert page(source, artists=artists) == html == "".join(f"<b>a{n}</b>" for n in range(50))
        assert trips.commands in (["get_many"], [])

    def test_take_querysets_and_managers(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        source = "{{ fragments('library.artist_card', artists) }}"
        html = {page(source, artists=given) for given in (artists, Artist.objects)}
        assert html == {"<b>Nina</b><b>Ella</b>"}

    def test_text_of_users_is_escaped_once(self, label: Fragment) -> None:
        printed = "<i>&lt;b&gt;:1</i>"
        sources = (
            "{{ fragment('library.label', word) }}",
            "{{ fragments('library.label', [word]) }}",
            "{% for x in fragments('library.label', [word]) %}{{ x }}{% endfor %}",
            "{% set x = fragment('library.label', word) %}{{ x }}",
        )
        for source in sources + sources:
            assert page(source, word="<b>") == printed

    def test_instances_are_markup(self, label: Fragment) -> None:
        source = (
            "{{ (fragment('library.label', 'a') + '<')|string }}{{ '<' ~ fragments(n, 'a'|list) }}"
        )
        assert page(source, n="library.label") == "<i>a:1</i>&lt;&lt;<i>a:1</i>"

    def test_share_entries_with_the_tags_of_django(
        self, artist_card: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        tag = "{% load fragcache %}{% fragment 'library.artist_card' artist %}"
        function = "{{ fragment('library.artist_card', artist) }}"
        for artist, first, second in (
            (artists[0], "django", "jinja2"),
            (artists[1], "jinja2", "django"),
        ):
            sources = {"django": tag, "jinja2": function}
            html = [
                engines[name].from_string(sources[name]).render({"artist": artist})
                for name in (first, second)
            ]
            assert html[0] == html[1] == f"<b>{artist.name}</b>"
        assert renders == [artist.pk for artist in artists]

    def test_tell_axes_the_request(
        self, declare: Any, jinja: Jinja, settings: Any, rf: RequestFactory
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.test_tags.Tenant"]}
        jinja({"banner.html": "{{ tenant }}"})

        @declare("banner.html", name="library.banner", vary_on=["tenant"])
        def banner() -> dict[str, Any]:
            from tests.test_tags import Tenant

            return {"tenant": Tenant.active.get()}

        source = "{{ fragment('library.banner') }}"
        assert page(source, rf.get("/", headers={"host": "b.example"})) == "b.example"
        assert page(source) == page(source, request="a text") == "a.example"

    def test_a_list_is_asked_for(self, label: Fragment) -> None:
        with pytest.raises(InvalidArguments, match=r"a list of items, not 'abc': for one use frag"):
            page("{{ fragments('library.label', 'abc') }}")

    @pytest.mark.parametrize("name", ["request", "using", "default", "storable", "undefined"])
    def test_what_only_python_may_give_is_refused(self, label: Fragment, name: str) -> None:
        with pytest.raises(InvalidArguments, match=rf"'{name}' cannot be given in a template\."):
            page("{{ fragment('library.label', 1, NAME=1) }}".replace("NAME", name))

    def test_mistakes_are_told_as_ever(self, label: Fragment) -> None:
        with pytest.raises(UnknownFragment, match=r"Did you mean 'library\.label'"):
            page("{{ fragment('library.lable', 1) }}")
        with pytest.raises(InvalidArguments, match=r"no parameter 'sise'\. Did you mean 'size'"):
            page("{{ fragment('library.label', 1, sise=2) }}")
        with pytest.raises(UnknownFragment, match=r"resolves to nothing: put a literal name"):
            page("{{ fragment(library, 1) }}")


UNDEFINED = [
    pytest.param("fragment('library.label', wrod)", "wrod", id="variable"),
    pytest.param("fragment('library.label', artist.nmae)", "Artist.nmae", id="attribute"),
    pytest.param("fragment('library.label', 1, size=sise)", "sise", id="keyword"),
    pytest.param("fragment('library.label', [1, wrod])", "wrod", id="inside"),
    pytest.param("fragments('library.label', wrods)", "wrods", id="items"),
    pytest.param("fragments('library.label', [wrod])", "wrod", id="item"),
    pytest.param("fragments('library.label', [(1, wrod)])", "wrod", id="tuple"),
]
KINDS = ["Undefined", "ChainableUndefined", "DebugUndefined", "StrictUndefined"]


class TestUndefinedArguments:
    """Under the key of nothing, one visitor's data would be kept for all."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("call", "name"), UNDEFINED)
    def test_are_errors_in_tests(
        self, label: Fragment, jinja: Jinja, call: str, name: str, kind: str
    ) -> None:
        jinja(undefined=getattr(jinja2, kind))
        with pytest.raises(UndefinedArgument) as raised:
            page("{{" + call + "}}", artist=Artist())
        function = call.partition("(")[0]
        assert str(raised.value) == (
            f"{function}('library.label', ...): {name} does not resolve. Is it misspelled, or not "
            "passed to this template? Where it may be absent, add |default(none)."
        )

    def test_are_errors_in_debug(self, in_production: None, label: Fragment, settings: Any) -> None:
        settings.DEBUG = True
        with pytest.raises(UndefinedArgument, match="wrod does not resolve"):
            page("{{ fragment('library.label', wrod) }}")

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("call", "name"), UNDEFINED)
    def test_are_shown_counted_and_not_stored_in_production(
        self, in_production: None, label: Fragment, jinja: Jinja, trips: RoundTrips,
        call: str, name: str, kind: str,
    ) -> None:  # fmt: skip
        jinja(undefined=getattr(jinja2, kind))
        for shown in (1, 2):
            page("{{" + call + "}}", artist=Artist())
            assert happened(Event.UNDEFINED_ARGUMENT, "library.label") == shown
        assert trips.of("store_many") == trips.of("advance_many") == []

    @pytest.mark.parametrize("argument", ["wrod|default(none)", "mapping.absent", "none"])
    def test_are_not_what_has_a_default_nor_the_absent_keys_of_mappings(
        self, label: Fragment, argument: str
    ) -> None:
        html = page("{{ fragment('library.label', " + argument + ") }}", mapping={"a": 1})
        assert html == "<i>None:1</i>"
        assert happened(Event.STORED) == 1


def test_the_extra_is_named_where_jinja2_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("fragcache.contrib.jinja2"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)  # type: ignore[arg-type]
    with pytest.raises(ImproperlyConfigured, match=r"pip install fragcache\[jinja2\]"):
        import_module("fragcache.contrib.jinja2")


class TestDigests:
    def test_a_fragment_shown_by_literal_name_is_in_the_digest(
        self, declare: Any, jinja: Jinja, label: Fragment
    ) -> None:
        jinja({"one.html": "{{ fragment('library.label', 1) }}", "many.html": "{% cache 5, 'x' %}"
               "{{ fragments('library.label', [1]) }}{% endcache %}"})  # fmt: skip
        outer = [
            declare(f"{name}.html", name=f"library.{name}")(nothing) for name in ("one", "many")
        ]
        before = list(map(digest_of, outer))

        jinja({"label.html": "<u>{{ word }}</u>"})

        after = list(map(digest_of, outer))
        assert before[0] != after[0]
        assert before[1] != after[1]
        assert page("{{ fragment('library.one') }}") == "<u>1</u>"

    def test_a_relative_name_is_joined_as_the_environment_does(
        self, declare: Any, jinja: Jinja
    ) -> None:
        class Relative(jinja2.Environment):  # type: ignore[name-defined,misc]
            def join_path(self, template: str, parent: str) -> str:
                return f"{parent.rpartition('/')[0]}/{template}"

        def environment(**options: Any) -> Any:
            return Relative(**options)

        globals()["relative"] = environment
        outer = declare("a/x.html", name="library.x")(nothing)
        options = {"environment": f"{__name__}.relative"}
        jinja({"a/x.html": "{% include 'y.html' %}", "a/y.html": "1"}, **options)
        before = digest_of(outer)
        jinja({"a/y.html": "2"}, **options)
        assert digest_of(outer) != before

    def test_an_engine_that_reloads_computes_it_anew(self, declare: Any, jinja: Jinja) -> None:
        sources = {"x.html": "1"}
        jinja(loader=jinja2.FunctionLoader(lambda name: (sources[name], None, lambda: False)),
              auto_reload=True)  # fmt: skip
        x = declare("x.html", name="library.x")(nothing)
        before = digest_of(x)
        sources["x.html"] = "2"
        assert digest_of(x) != before


def nothing() -> dict[str, Any]:
    return {}
