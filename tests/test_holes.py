"""Holes: what each page fills in for itself, inside of what is kept for all."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Template, TemplateSyntaxError
from django.template.loader import render_to_string
from django.test import RequestFactory

from fragcache import (
    ImproperlyDeclared,
    InvalidArguments,
    UndefinedArgument,
    get_fragment,
    get_fragments,
    render_fragment,
)
from fragcache.events import Event
from fragcache.store import store
from tests.block_pages import LOAD, Counter, shown
from tests.fixtures import Clock, happened, in_request, on_target, warm
from tests.library.models import Artist

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded", "redis"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]


class TestBlocks:
    def test_a_hole_is_filled_by_each_page(self, n: Counter) -> None:
        source = (
            "{% cache 60 menu %}{{ n }}: {% nocache %}<{{ user }}>{% endnocache %}!{% endcache %}"
        )
        pages = [shown(source, n=n, user=user) for user in ("Ann", "Bob", "<Eve>")]
        assert pages == ["1: <Ann>!", "1: <Bob>!", "1: <&lt;Eve&gt;>!"]
        store().local.clear()
        assert shown(source, n=n, user="Cy") == "1: <Cy>!"
        assert happened(Event.STORED) == 1

    def test_many_next_to_each_other_and_at_both_ends(self) -> None:
        hole = "{% nocache %}{{ x }}{% endnocache %}"
        source = f"{{% cache 60 menu %}}{hole}{hole}ä{hole}{{% endcache %}}"
        assert [shown(source, x=x) for x in "ab"] == ["aaäa", "bbäb"]

    def test_a_loop_s_variables_are_captured(self) -> None:
        source = (
            "{% cache 60 menu %}{% for p in products %}{{ p.name }} "
            "{% nocache with pk=p.pk name=p.name|upper %}"
            "{% if pk in cart %}{{ name }} is yours{% endif %};{% endnocache %}"
            "{% endfor %}{% endcache %}"
        )
        products = [{"pk": 1, "name": "a"}, {"pk": 2, "name": "b"}]
        assert shown(source, products=products, cart=[2]) == "a ;b B is yours;"
        assert shown(source, products=None, cart=[1]) == "a A is yours;b ;"

    def test_rows_are_captured_and_loaded_in_one_query(
        self, artists: list[Artist], django_assert_num_queries: Any
    ) -> None:
        source = (
            "{% cache 60 menu %}{% for a in artists %}"
            "{% nocache with artist=a %}{{ artist.name }},{% endnocache %}"
            "{% endfor %}{% endcache %}"
        )
        assert shown(source, artists=artists) == "Nina,Ella,"
        with django_assert_num_queries(1):
            assert shown(source) == "Nina,Ella,"
        artists[0].delete()
        assert shown(source) == "Ella,"

    def test_what_looks_like_a_template_is_content(self) -> None:
        source = "{% cache 60 menu %}{{ text }}{% nocache %}.{% endnocache %}{% endcache %}"
        text = "{{ user }}{% now 'Y' %}[[0-0]]"
        expected = "{{ user }}{% now &#x27;Y&#x27; %}[[0-0]]."
        assert [shown(source, text=text, user="Ann") for _ in "12"] == [expected] * 2

    def test_holes_of_an_include_are_found_by_a_process_that_has_not_compiled_it(
        self, templates: Any
    ) -> None:
        from django.template import engines

        from fragcache.rendering import holes

        templates(
            {
                "part.html": LOAD + "{% nocache %}{{ user }}{% endnocache %}",
                "page.html": LOAD + "{% cache 60 menu %}({% include 'part.html' %}){% endcache %}",
            }
        )
        assert render_to_string("page.html", {"user": "Ann"}) == "(Ann)"
        for loader in engines["django"].engine.template_loaders:
            loader.reset()
        holes._compiled.clear()
        assert render_to_string("page.html", {"user": "Bob"}) == "(Bob)"

    def test_a_block_inside_of_a_hole_is_kept_by_itself(self, n: Counter) -> None:
        source = (
            "{% cache 60 outer %}{% nocache %}{{ user }}"
            "{% cache 60 inner %}{{ n }}{% endcache %}{% endnocache %}{% endcache %}"
        )
        assert [shown(source, n=n, user=user) for user in "ab"] == ["a1", "b1"]

    def test_a_stale_block_has_its_holes(self, n: Counter, clock: Clock) -> None:
        source = (
            "{% cache 60 menu stale_while_revalidate=60 %}{{ n }}"
            "{% nocache %}{{ user }}{% endnocache %}{% endcache %}"
        )
        found = []
        for user in "abc":
            with in_request():
                found.append(shown(source, n=n, user=user))
            clock.step(61)
        assert found == ["1a", "1b", "2c"]

    def test_outside_of_what_is_kept_it_is_rendered(self) -> None:
        source = "{% nocache with x=y %}{{ x }}{% endnocache %}"
        assert shown(source, y=1) == "1"
        assert shown("{% cache 0 menu %}" + source + "{% endcache %}", y=1) == "1"


class TestOwnVariables:
    def test_csrf_token_and_csp_nonce_are_holes_by_themselves(self, n: Counter) -> None:
        source = (
            "{% cache 60 menu %}{{ n }}{% csrf_token %}"
            '<script nonce="{{ csp_nonce }}"></script>{% endcache %}'
        )
        field = '<input type="hidden" name="csrfmiddlewaretoken" value="{}">'
        for token, nonce in (("aaa", "n1"), ("bbb", "n2")):
            html = shown(source, n=n, csrf_token=token, csp_nonce=nonce)
            assert html == f'1{field.format(token)}<script nonce="{nonce}"></script>'

    def test_in_a_fragment_they_are_those_of_the_page(
        self, declare: Any, templates: Any, rf: RequestFactory
    ) -> None:
        templates({"form.html": "<form>{% csrf_token %}</form>"})

        @declare("form.html", name="library.form")
        def form() -> dict[str, Any]:
            return {}

        first, second = rf.get("/"), rf.get("/")
        one = get_fragment(form, request=first)
        two = get_fragment(form, request=second)
        assert 'value="' in one
        assert one != two
        assert len(one) == len(two) > 100
        assert shown('{% fragment "library.form" %}', csrf_token="ccc").count("ccc") == 1
        assert happened(Event.STORED, "library.form") == 1


class TestFragments:
    @pytest.fixture
    def card(self, declare: Any, templates: Any, renders: list[Any]) -> Any:
        templates(
            {
                "card.html": LOAD + "{{ artist.name }}"
                "{% nocache with pk=artist.pk %}"
                "{% if pk in liked %} liked{% endif %}{% endnocache %}"
            }
        )

        @declare("card.html", name="library.card", items=Artist.objects.all, version="updated_at")
        def card(artist: Artist) -> dict[str, Any]:
            renders.append(artist.pk)
            return {"artist": artist}

        return card

    def test_are_filled_with_the_page_s_variables(
        self, card: Any, artists: list[Artist], renders: list[Any]
    ) -> None:
        source = '{% fragments "library.card" artists %}'
        liked = [artists[1].pk]
        assert shown(source, artists=artists, liked=liked) == "NinaElla liked"
        assert shown(source, artists=artists, liked=[]) == "NinaElla"
        assert len(renders) == 2

    def test_in_python_with_those_of_the_request(
        self, card: Any, artists: list[Artist], rf: RequestFactory, settings: Any
    ) -> None:
        assert get_fragments(card, artists) == ["Nina", "Ella"]
        assert render_fragment(card, artists[0]) == "Nina"

    def test_what_was_warmed_has_holes(self, card: Any, artists: list[Artist]) -> None:
        warm(card)
        source = '{% fragment "library.card" pk %}'
        assert shown(source, pk=artists[0].pk, liked=[artists[0].pk]) == "Nina liked"

    def test_a_target_with_the_template_fills_them(self, card: Any, artists: list[Artist]) -> None:
        warm(card)
        with on_target("library.card"):
            source = '{% fragment "library.card" pk %}'
            assert shown(source, pk=artists[0].pk, liked=[artists[0].pk]) == "Nina liked"

    def test_one_without_leaves_them_empty_and_says_so(
        self, card: Any, artists: list[Artist], templates: Any
    ) -> None:
        from fragcache.rendering import holes

        warm(card)
        templates({"card.html": "another release"})
        holes._compiled.clear()
        with on_target("library.card"):
            source = '{% fragment "library.card" pk %}'
            assert shown(source, pk=artists[0].pk, liked=[artists[0].pk]) == "Nina"
        assert happened(Event.ABSENT, "") == 1

    def test_an_inner_one_s_are_holes_of_the_outer_one(
        self, card: Any, artists: list[Artist], declare: Any, templates: Any
    ) -> None:
        templates({"outer.html": LOAD + '<{% fragment "library.card" pk %}>'})

        @declare("outer.html", name="library.outer", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"pk": pk}

        pk = artists[0].pk
        source = '{% fragment "library.outer" pk %}'
        pages = [shown(source, pk=pk, liked=liked) for liked in ([], [pk], [])]
        assert pages == ["<Nina>", "<Nina liked>", "<Nina>"]
        assert happened(Event.RENDERED, "library.outer") == 1

    def test_also_where_a_context_function_asks_for_it(
        self, card: Any, artists: list[Artist], declare: Any, templates: Any
    ) -> None:
        templates({"outer.html": "<{{ card }}>"})

        @declare("outer.html", name="library.outer", version=lambda pk: 1)
        def outer(pk: int) -> dict[str, Any]:
            return {"card": get_fragment("library.card", pk)}

        pk = artists[0].pk
        source = '{% fragment "library.outer" pk %}'
        assert [shown(source, pk=pk, liked=[pk]) for _ in "12"] == ["<Nina liked>"] * 2


class TestMistakes:
    @pytest.mark.parametrize(
        "tag", ["nocache pk=1", "nocache with", "nocache with pk", "nocache with a=1 b"]
    )
    def test_of_grammar(self, tag: str) -> None:
        with pytest.raises(TemplateSyntaxError, match="takes 'with' and name=value"):
            Template(LOAD + f"{{% {tag} %}}{{% endnocache %}}")

    def test_a_value_that_cannot_be_captured(self) -> None:
        source = "{% cache 60 menu %}{% nocache with x=x %}{% endnocache %}{% endcache %}"
        with pytest.raises(InvalidArguments, match=r"captures x=<object"):
            shown(source, x=object())

    def test_a_variable_that_does_not_resolve(self) -> None:
        source = "{% cache 60 menu %}{% nocache with x=wrod %}{% endnocache %}{% endcache %}"
        with pytest.raises(UndefinedArgument, match="wrod does not resolve"):
            shown(source)

    @pytest.mark.parametrize("name", ["upper", "truncatechars:12", "force_escape|upper"])
    def test_a_filter_around_a_hole(self, name: str) -> None:
        source = (
            f"{{% cache 60 menu %}}{{% filter {name} %}}some words"
            "{% nocache %}{{ x }}{% endnocache %}{% endfilter %}{% endcache %}"
        )
        with pytest.raises(ImproperlyDeclared, match="a filter is applied"):
            shown(source, x=1)
        assert happened(Event.STORED) == 0
