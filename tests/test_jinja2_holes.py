"""``{% nocache %}`` in Jinja2: what each page fills in for itself, in blocks and in fragments."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.middleware.csrf import _unmask_cipher_token
from django.template import Context, RequestContext, engines
from django.template import Template as DjangoTemplate
from django.test import RequestFactory

from fragcache import (
    Fragment,
    ImproperlyDeclared,
    InvalidArguments,
    UndefinedArgument,
    get_fragment,
)
from fragcache.events import Event
from fragcache.rendering import holes
from fragcache.store import store
from tests.block_pages import LOAD, Counter
from tests.fixtures import happened, on_target, warm
from tests.jinja2_pages import Jinja, named, page
from tests.library.models import Artist

jinja2 = pytest.importorskip("jinja2")

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded", "redis", "memcached"], indirect=True),
    pytest.mark.usefixtures("cache_alias", "jinja"),
]


def visit(token: str = "one", **attributes: Any) -> Any:
    """Return the request of a visitor whose CSRF cookie is told by ``token``."""
    request = RequestFactory().get("/")
    request.META["CSRF_COOKIE"] = token.ljust(32, "x")
    vars(request).update(attributes)
    return request


def secrets_in(html: str) -> list[str]:
    """Return the secrets of a page's CSRF tokens, which are masked anew each time."""
    return [_unmask_cipher_token(token) for token in re.findall(r"\b[0-9A-Za-z]{64}\b", html)]


class TestBlocks:
    def test_a_hole_is_filled_by_each_page(self, n: Counter) -> None:
        source = "{% cache 60, menu %}{{ n }}: {% nocache %}<{{ who }}>{% endnocache %}!"
        source += "{% endcache %}"
        pages = [page(source, n=n, who=who) for who in ("Ann", "Bob", "<Eve>")]
        assert pages == ["1: <Ann>!", "1: <Bob>!", "1: <&lt;Eve&gt;>!"]
        store().local.clear()
        assert page(source, n=n, who="Cy") == "1: <Cy>!"
        assert happened(Event.STORED) == 1

    def test_many_next_to_each_other_and_at_both_ends(self) -> None:
        hole = "{% nocache %}{{ x }}{% endnocache %}"
        source = f"{{% cache 60, menu %}}{hole}{hole}ä{hole}{{% endcache %}}"
        assert [page(source, x=x) for x in "ab"] == ["aaäa", "bbäb"]

    def test_a_loop_s_variables_are_captured(self) -> None:
        source = (
            "{% cache 60, menu %}{% for p in products %}{{ p.name }} "
            "{% nocache with pk=p.pk, name=p.name|upper %}"
            "{% if pk in cart %}{{ name }} is yours{% endif %};{% endnocache %}"
            "{% endfor %}{% endcache %}"
        )
        products = [{"pk": 1, "name": "a"}, {"pk": 2, "name": "b"}]
        assert page(source, products=products, cart=[2]) == "a ;b B is yours;"
        assert page(source, products=None, cart=[1]) == "a A is yours;b ;"

    def test_rows_are_captured_and_loaded_in_one_query(
        self, artists: list[Artist], django_assert_num_queries: Any
    ) -> None:
        source = (
            "{% cache 60, menu %}{% for a in artists %}{% nocache with a=a %}{{ a.name }}"
            "{{ x }};{% endnocache %}{% endfor %}{% endcache %}"
        )
        assert page(source, artists=artists, x=1) == "Nina1;Ella1;"
        Artist.objects.filter(pk=artists[0].pk).update(name="Eunice")
        with django_assert_num_queries(1):
            assert page(source, artists=None, x=2) == "Eunice2;Ella2;"
        artists[1].delete()
        assert page(source, artists=None, x=3) == "Eunice3;"

    def test_variables_around_the_block_are_the_page_s(self) -> None:
        source = (
            "{% set top = x %}{% for item in items %}{% cache 60, menu, item %}"
            "{% nocache %}{{ top }}{{ item }}{% endnocache %}{% endcache %}{% endfor %}"
            "{% macro m(x) %}{% cache 60, other %}{% nocache %}{{ x }}{% endnocache %}"
            "{% endcache %}{% endmacro %}{{ m('y') }}"
        )
        assert [page(source, items="ab", x=x) for x in (1, 2)] == ["1a1by", "2a2by"]

    def test_macros_and_imports_of_its_template_are_there(self, jinja: Jinja) -> None:
        body = "{% nocache %}{{ m.loud(who) }}{{ own(who) }}{% endnocache %}"
        jinja(
            {
                "m.html": "{% macro loud(text) %}{{ text|upper }}{% endmacro %}",
                "part.html": "{% import 'm.html' as m %}{% macro own(text) %}({{ text }})"
                "{% endmacro %}{% cache 60, menu %}" + body + "{% endcache %}",
                "page.html": "{% include 'part.html' %}",
            }
        )
        assert [named("page.html", who=who) for who in ("a", "b")] == ["A(a)", "B(b)"]

    def test_what_looks_like_a_template_is_content(self) -> None:
        source = "{% cache 60, menu %}{{ text }}{% nocache %}{{ text }}{% endnocache %}"
        source += "{% endcache %}"
        text = "{% nocache %}{{ n }}[[0]]{% endnocache %}"
        assert [page(source, text=text) for _ in "12"] == [text * 2] * 2

    def test_is_compiled_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        source = "{% cache 60, menu %}{% nocache %}{{ x }}{% endnocache %}{% endcache %}"
        template = engines["jinja2"].from_string(source)
        compiled: list[Any] = []
        compile_source = jinja2.Environment.compile
        monkeypatch.setattr(
            jinja2.Environment,
            "compile",
            lambda *args, **kwargs: compiled.append(1) or compile_source(*args, **kwargs),
        )
        assert [template.render({"x": x}) for x in "abc"] == ["a", "b", "c"]
        assert len(compiled) == 1, "the hole alone, at its first page"

    def test_is_found_by_a_process_that_has_not_compiled_it(self, jinja: Jinja) -> None:
        jinja(
            {
                "part.html": "{% cache 60, menu %}{% nocache %}{{ x }}{% endnocache %}"
                "{% endcache %}",
                "page.html": "{% cache 60, outer %}{% include 'part.html' %}{% endcache %}",
            }
        )
        assert named("page.html", x=1) == "1"
        holes._compiled.clear()
        jinja()
        assert named("page.html", x=2) == "2"
        assert happened(Event.STORED) == 2

    def test_a_block_inside_of_a_hole_is_kept_by_itself(self, n: Counter) -> None:
        source = (
            "{% cache 60, outer %}{% nocache %}{% cache 60, inner, x %}{{ n }}{{ x }}"
            "{% endcache %}{% endnocache %}{% endcache %}"
        )
        assert [page(source, n=n, x=x) for x in "aba"] == ["1a", "2b", "1a"]

    def test_outside_of_what_is_kept_it_is_rendered(self) -> None:
        source = (
            "{% for x in 'ab' %}{% nocache with y=x %}{{ x }}{{ y }}{% endnocache %}{% endfor %}"
        )
        assert page(source) == "aabb"
        assert page("{% cache 0, menu %}" + source + "{% endcache %}") == "aabb"

    def test_autoescaping_is_its_template_s(self, jinja: Jinja) -> None:
        body = "{% cache 60, menu %}{% nocache %}{{ x }}{% endnocache %}{% endcache %}"
        jinja({"a.txt": body, "a.html": body}, autoescape=jinja2.select_autoescape(["html"]))
        assert [named("a.txt", x="<") for _ in "12"] == ["<", "<"]
        assert [named("a.html", x="<") for _ in "12"] == ["&lt;", "&lt;"]


class TestOwnVariables:
    @pytest.mark.parametrize(
        "before", ["", "{{ csrf_token }}{{ csrf_input }}|", "{% set t = csrf_token %}|"]
    )
    def test_the_csrf_token_is_a_hole_by_itself(self, n: Counter, before: str) -> None:
        """Also where the page has looked it up before."""
        source = before + "{% cache 60, menu %}{{ n }}{{ csrf_input }} {{ csrf_token }}"
        source += "{% endcache %}"
        for visitor in ("ann", "bob", "ann"):
            html = page(source, visit(visitor), n=n).rpartition("|")[2]
            assert html.startswith('1<input type="hidden" name="csrfmiddlewaretoken" value="')
            assert secrets_in(html) == [visitor.ljust(32, "x")] * 2
        assert happened(Event.STORED) == 1

    def test_where_a_page_without_a_request_came_first(self) -> None:
        source = "{% cache 60, menu %}<{{ csrf_input }}{{ csp_nonce }}>{% endcache %}"
        assert page(source) == "<>"
        assert "csrfmiddlewaretoken" in page(source, visit(), csp_nonce="n")
        assert page(source, csp_nonce="n") == "<n>"

    def test_in_macros_and_includes_of_the_body(self, jinja: Jinja) -> None:
        jinja({"form.html": "{{ csrf_token }}"})
        source = (
            "{% macro form() %}{{ csrf_token }}{% endmacro %}"
            "{% cache 60, menu %}{{ form() }} {% include 'form.html' %}{% endcache %}"
        )
        for visitor in ("ann", "bob", "ann"):
            assert secrets_in(page(source, visit(visitor))) == [visitor.ljust(32, "x")] * 2
        assert happened(Event.STORED) == 1

    def test_in_a_fragment_they_are_those_of_the_page(self, declare: Any, jinja: Jinja) -> None:
        jinja({"form.html": "<{{ csrf_input }}|{{ csp_nonce }}>"})

        @declare("form.html", name="library.form", version=lambda: 1)
        def form() -> dict[str, Any]:
            return {}

        for nonce in ("a", "b"):
            html = page("{{ fragment('library.form') }}", visit(), csp_nonce=nonce)
            assert html.startswith("<<input")
            assert html.endswith(f"|{nonce}>")
            source = LOAD + '{% fragment "library.form" %}'
            context = Context({"csrf_token": "<t>", "csp_nonce": nonce})
            token = '<input type="hidden" name="csrfmiddlewaretoken" value="&lt;t&gt;">'
            assert DjangoTemplate(source).render(context) == f"<{token}|{nonce}>"
        assert happened(Event.STORED) == 1


@pytest.fixture
def card(declare: Any, jinja: Jinja, renders: list[Any]) -> Fragment:
    """A fragment whose template is one of Jinja2's, with a hole."""
    jinja(
        {
            "card.html": "{% macro own(text) %}{{ text }}!{% endmacro %}{{ artist.name }}"
            "{% nocache with pk=artist.pk %}{% if pk in liked or () %} {{ own('liked') }}"
            "{% endif %}{% endnocache %}"
        }
    )

    @declare("card.html", name="library.card", items=Artist.objects.all, version="updated_at")
    def card(artist: Artist) -> dict[str, Any]:
        renders.append(artist.pk)
        return {"artist": artist}

    fragment: Fragment = card
    return fragment


def django_page(source: str, **context: Any) -> str:
    return str(DjangoTemplate(LOAD + source).render(Context(context)))


class TestFragments:
    def test_are_filled_by_pages_of_both_engines(
        self, card: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        liked = [artists[1].pk]
        for _again in "12":
            source = "{{ fragments('library.card', artists) }}"
            assert page(source, artists=artists, liked=liked) == "NinaElla liked!"
            assert page(source, artists=artists, liked=[]) == "NinaElla"
            source = '{% fragments "library.card" artists %}'
            assert django_page(source, artists=artists, liked=liked) == "NinaElla liked!"
        assert len(renders) == 2

    def test_a_django_one_is_filled_by_a_page_of_jinja2(
        self, declare: Any, templates: Any, jinja: Jinja, n: Counter
    ) -> None:
        templates({"d.html": LOAD + "{% nocache %}{{ x }}{% csrf_token %}{% endnocache %}"})

        @declare("d.html", name="library.d", version=lambda: 1)
        def d() -> dict[str, Any]:
            return {}

        block = "{% cache 60, b %}{{ n }}{{ fragment('library.d') }}{% endcache %}"
        for source, before in (("{{ fragment('library.d') }}", ""), (block, "1")):
            for x in "ab":
                html = page(source, visit(), x=x, n=n)
                assert html.startswith(f'{before}{x}<input type="hidden"')

    def test_inner_ones_of_both_engines_are_holes_of_outer_ones(
        self, card: Fragment, artists: list[Artist], declare: Any, templates: Any, jinja: Jinja
    ) -> None:
        templates({"middle.html": LOAD + '({% fragment "library.card" pk %})'})
        jinja({"outer.html": "<{{ fragment('library.middle', pk) }}>"})

        @declare("middle.html", name="library.middle", version=lambda pk: 1)
        def middle(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        @declare("outer.html", name="library.outer", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        pk = artists[0].pk
        for liked, expected in (([], "<(Nina)>"), ([pk], "<(Nina liked!)>"), ([], "<(Nina)>")):
            assert page("{{ fragment('library.outer', pk) }}", pk=pk, liked=liked) == expected
            found = django_page('{% fragment "library.outer" pk %}', pk=pk, liked=liked)
            assert found == expected
        assert happened(Event.RENDERED, "library.outer") == 1

    def test_what_was_warmed_and_what_a_target_shows(
        self, card: Fragment, artists: list[Artist]
    ) -> None:
        warm(card)
        pk = artists[0].pk
        with on_target("library.card"):
            holes._compiled.clear()
            source = "{{ fragment('library.card', pk) }}"
            assert page(source, pk=pk, liked=[pk]) == "Nina liked!"
        assert get_fragment(card, pk) == "Nina"

    def test_a_target_of_another_release_says_so(
        self, card: Fragment, artists: list[Artist], jinja: Jinja
    ) -> None:
        warm(card)
        holes._compilers.clear()
        holes._compiled.clear()
        jinja({"card.html": "another release"})
        pk = artists[0].pk
        with on_target("library.card"):
            html = page("{{ fragment('library.card', pk) }}", pk=pk, liked=[pk])
        assert html == "Nina"
        assert happened(Event.ABSENT, "") == 1

    def test_the_request_s_variables_fill_it_too(self, declare: Any, jinja: Jinja) -> None:
        jinja({"who.html": "{% nocache %}{{ request.path }}{{ csrf_input }}{% endnocache %}"})

        @declare("who.html", name="library.who", version=lambda: 1)
        def who() -> dict[str, Any]:
            return {}

        request = visit()
        html = get_fragment(who, request=request)
        assert html.startswith('/<input type="hidden" name="csrfmiddlewaretoken"')
        source = DjangoTemplate(LOAD + '{% fragment "library.who" %}')
        assert source.render(RequestContext(request)).startswith("/<input")


class TestMistakes:
    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            ("{% nocache pk=1 %}{% endnocache %}", "takes 'with' and name=value"),
            ("{% nocache with %}{% endnocache %}", "expected token 'name'"),
            ("{% nocache with a=1 b %}{% endnocache %}", "takes 'with' and name=value"),
            ("{% nocache %}{% block b %}{% endblock %}{% endnocache %}", "can have no {% block %}"),
            ("{% nocache %}{{ caller() }}{% endnocache %}", "can have no caller"),
        ],
    )
    def test_of_grammar(self, tag: str, message: str) -> None:
        with pytest.raises(jinja2.TemplateSyntaxError, match=message):
            page(tag)

    def test_a_value_that_cannot_be_captured(self) -> None:
        source = "{% cache 60, menu %}{% nocache with x=x %}{% endnocache %}{% endcache %}"
        with pytest.raises(InvalidArguments, match=r"captures x=<object"):
            page(source, x=object())

    def test_a_variable_that_does_not_resolve(self) -> None:
        source = "{% cache 60, menu %}{% nocache with x=wrod %}{% endnocache %}{% endcache %}"
        with pytest.raises(UndefinedArgument, match="wrod does not resolve"):
            page(source)

    def test_a_filter_around_a_hole(self) -> None:
        source = (
            "{% cache 60, menu %}{% filter upper %}{% nocache %}a{% endnocache %}{% endfilter %}"
            "{% endcache %}"
        )
        with pytest.raises(ImproperlyDeclared, match="a filter is applied"):
            page(source)
