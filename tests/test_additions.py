"""What a fragment or block adds to its page outside of itself is there on a hit as on a miss."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from django import forms
from django.template import Context, Library, RequestContext, Template, engines
from django.test import RequestFactory

from fragcache import (
    Fragment,
    ImproperlyDeclared,
    Leak,
    get_fragment,
    get_fragments,
    render_fragment,
)
from fragcache.additions import Addition
from fragcache.events import Event
from fragcache.store import store
from tests.fixtures import happened, in_request, on_target, warm

sekizai = pytest.importorskip("sekizai")

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["redis", "memcached", "embedded"], indirect=True),
    pytest.mark.usefixtures("cache_alias", "sekizai_site"),
]
LOAD = "{% load sekizai_tags fragcache %}"
#: A page as sekizai has it: what is added below comes out above.
PAGE = LOAD + '{% render_block "css" %}|{% render_block "js" %}|'


@pytest.fixture
def sekizai_site(settings: Any) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "sekizai"]
    engine, *others = settings.TEMPLATES
    options = engine["OPTIONS"]
    processors = [
        *options["context_processors"],
        "sekizai.context_processors.sekizai",
        "django.template.context_processors.csrf",
    ]
    engine = {**engine, "OPTIONS": {**options, "context_processors": processors}}
    settings.TEMPLATES = [engine, *others]


def page(source: str, **variables: Any) -> list[str]:
    """Return what a page has for css, js, and below."""
    request: Any = RequestFactory().get("/")
    request.csp_nonce = variables.pop("nonce", "")
    context = RequestContext(request, {"csp_nonce": request.csp_nonce, **variables})
    css, js, below = Template(PAGE + source).render(context).split("|")
    return [css.strip(), js.strip(), below.strip()]


def add(text: str, where: str = "js") -> str:
    return f'{{% addtoblock "{where}" %}}{text}{{% endaddtoblock %}}'


@pytest.fixture
def card(declare: Any, templates: Any) -> Fragment:
    """A fragment that needs a script and a style."""
    templates({"card.html": LOAD + add("card.js") + "card {{ pk }}" + add("card.css", "css")})

    @declare("card.html", name="library.card", version=lambda pk: 1, items=[1, 2])
    def card(pk: int) -> dict[str, Any]:
        return {"pk": pk}

    fragment: Fragment = card
    return fragment


class TestBlocks:
    def test_add_on_a_hit_what_they_add_on_a_miss(self) -> None:
        source = "{% cache 60 x %}body" + add("a.js") + add("a.css", "css") + "{% endcache %}"
        assert [page(source) for _ in "123"] == [["a.css", "a.js", "body"]] * 3
        store().local.clear()
        assert page(source) == ["a.css", "a.js", "body"]
        assert happened(Event.STORED) == 1

    def test_and_no_page_s_own_additions(self) -> None:
        block = "{% cache 60 x %}body" + add("a.js") + "{% endcache %}"
        assert page(add("own.js") + block)[1] == "own.js\na.js"
        assert page(block)[1] == "a.js"

    def test_once_for_a_page_that_has_it_already(self) -> None:
        block = "{% cache 60 x n %}" + add("a.js") + "{% endcache %}"
        source = f"{add('a.js')}{{% for n in 'abc' %}}{block}{{% endfor %}}"
        assert [page(source)[1] for _ in "12"] == ["a.js", "a.js"]

    def test_in_the_order_in_which_they_are_added(self, card: Fragment) -> None:
        """A script may need those before it."""
        inner = '{% cache 60 inner %}{% fragment "library.card" 1 %}' + add("b.js")
        source = f"{{% cache 60 x %}}{add('a.js')}{inner}{{% endcache %}}{add('c.js')}"
        source += "{% endcache %}"
        expected = "a.js\ncard.js\nb.js\nc.js"
        assert [page(source)[1] for _ in "12"] == [expected] * 2
        source += "{% cache 60 other %}" + add("d.js") + "{% endcache %}"
        assert page(source)[1] == f"{expected}\nd.js"

    def test_with_holes_that_each_page_fills(self) -> None:
        """The nonce of a script is another one on each page, wherever it comes out."""
        script = '<script nonce="{{ csp_nonce }}" src="a.js">'
        hole = "{% nocache %}{{ who }}{% endnocache %}"
        source = "{% cache 60 x %}" + add(script) * 2 + add(hole) + "{{ csp_nonce }}{% endcache %}"
        for nonce, who in (("one", "Ann"), ("two", "Bob"), ("one", "Cy")):
            expected = f'<script nonce="{nonce}" src="a.js">\n{who}'
            assert page(source, nonce=nonce, who=who) == ["", expected, nonce]
        assert happened(Event.STORED) == 1

    def test_text_that_is_no_html_is_escaped_on_a_hit_too(self) -> None:
        source = (
            '{% cache 60 x %}{% add_data "titles" title %}{% endcache %}'
            '{% with_data "titles" as titles %}{% for t in titles %}{{ t }};{% endfor %}'
            "{% end_with_data %}"
        )
        assert [page(source, title="<b>")[2] for _ in "12"] == ["&lt;b&gt;;"] * 2

    def test_what_is_no_text_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = '{% cache 60 x %}body{% add_data "rows" row %}' + add("a.js") + "{% endcache %}"
        with pytest.raises(ImproperlyDeclared, match=r"adds <object .* to 'rows' of sekizai"):
            page(source, row=object())
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        assert [page(source, row=["secret"]) for _ in "12"] == [["", "a.js", "body"]] * 2
        assert "an object of the class list to 'rows' of sekizai" in caplog.text
        assert "secret" not in caplog.text
        assert happened(Event.STORED) == 0
        assert happened(Event.NOT_STORED) == 2

    def test_a_stale_one_still_adds(self, clock: Any, n: Any) -> None:
        source = "{% cache 60 x stale_while_revalidate=600 %}{{ n }}" + add("a.js")
        source += "{% endcache %}"
        assert page(source, n=n) == ["", "a.js", "1"]
        clock.step(90)
        with in_request():
            assert page(source, n=n) == ["", "a.js", "1"]
        assert page(source, n=n) == ["", "a.js", "2"]
        assert happened(Event.RENDERED) == 2


class TestFragments:
    def test_add_to_every_page(self, card: Fragment) -> None:
        source = '{% fragment "library.card" 1 %} {% fragments "library.card" pks %}'
        expected = ["card.css", "card.js", "card 1 card 1card 2"]
        assert [page(source, pks=[1, 2]) for _ in "12"] == [expected] * 2
        store().local.clear()
        assert page(source, pks=[1, 2]) == expected

    def test_warmed_ones_too(self, card: Fragment) -> None:
        warm(card)
        assert page('{% fragment "library.card" 2 %}') == ["card.css", "card.js", "card 2"]
        assert happened(Event.RENDERED) == 2

    def test_those_of_a_source_too(self, card: Fragment) -> None:
        warm(card)
        with on_target("library.card"):
            assert page('{% fragment "library.card" 2 %}') == ["card.css", "card.js", "card 2"]

    @pytest.mark.parametrize(
        "outer",
        ['{% fragment "library.card" 1 %}', "{{ inner }}", "{% if 1 %}{{ inner }}{% endif %}"],
    )
    def test_inner_ones_through_outer_ones(
        self, card: Fragment, declare: Any, templates: Any, outer: str
    ) -> None:
        templates({"outer.html": LOAD + f"<{outer}>" + add("outer.js")})

        @declare("outer.html", name="library.outer", version=lambda pk: 1)
        def outer_one(pk: int) -> dict[str, Any]:
            return {"inner": get_fragment(card, pk)}

        source = '{% fragment "library.outer" 1 %}'
        expected = ["card.css", "card.js\nouter.js", "<card 1>"]
        assert [page(source) for _ in "12"] == [expected] * 2
        assert happened(Event.STORED, "library.outer") == 1

    def test_nothing_for_an_inner_one_that_is_not_shown(
        self, card: Fragment, declare: Any, templates: Any
    ) -> None:
        templates({"outer.html": "without"})

        @declare("outer.html", name="library.outer", version=lambda: 1)
        def outer_one() -> dict[str, Any]:
            return {"inner": get_fragment(card, 1)}

        assert page('{% fragment "library.outer" %}') == ["", "", "without"]

    def test_in_python_there_is_no_page_to_add_to(
        self, card: Fragment, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _again in "12":
            assert get_fragments(card, [1, 2]) == ["card 1", "card 2"]
        assert render_fragment(card, 1) == "card 1"
        assert "What is added to 'js' of sekizai is lost: show it by a tag" in caplog.text

    def test_a_page_without_a_place_is_told(
        self, card: Fragment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        template = Template(LOAD + '{% fragment "library.card" 1 %}')
        for _again in "12":
            with pytest.raises(ImproperlyDeclared, match=r"add 'sekizai\.context_processors"):
                template.render(Context())
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        assert template.render(Context()) == "card 1"
        assert "is lost: add 'sekizai.context_processors.sekizai'" in caplog.text

    def test_a_filter_around_is_an_error_or_no_harm(self, card: Fragment) -> None:
        source = '{% filter upper %}{% fragment "library.card" 1 %}{% endfilter %}'
        assert page(source) == ["card.css", "card.js", "CARD 1"]


class TestForms:
    """A form's media belong where the form is declared, or to sekizai."""

    def test_media_of_a_form_in_a_fragment(self, declare: Any, templates: Any) -> None:
        class ContactForm(forms.Form):
            day = forms.DateField()

            class Media:
                js = ("calendar.js",)

        templates({"form.html": LOAD + add("{{ form.media.js }}") + "{{ form.day.name }}"})

        @declare("form.html", name="library.form", version=lambda: 1)
        def form() -> dict[str, Any]:
            return {"form": ContactForm()}

        source = '{% fragment "library.form" %}' * 2
        expected = ["", '<script src="/static/calendar.js"></script>', "dayday"]
        assert [page(source) for _ in "12"] == [expected] * 2
        assert happened(Event.RENDERED) == 1


class Titles(Addition):
    """A way of adding of one's own: headings that a page lists."""

    name = "titles"

    def variables(self) -> dict[str, Any]:
        return {"titles": []}

    def added(self, variables: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        return [("", title) for title in variables["titles"]]

    def replay(self, context: Context, where: str, text: str) -> None:
        context["titles"].append(text)


class TestOnesOwn:
    def test_are_added_by_a_setting(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "ADDITIONS": [f"{__name__}.Titles"]}
        register = Library()

        @register.simple_tag(takes_context=True)
        def heading(context: Context, text: str) -> str:
            context["titles"].append(text)
            return text.upper()

        monkeypatch.setitem(engines["django"].engine.template_libraries, "page_tags", register)
        source = "{% load page_tags %}{% cache 60 x %}{% heading 'one' %}{% endcache %}"
        source += "{% heading 'two' %}: {{ titles|join:' ' }}"
        assert [page(source, titles=[])[2] for _ in "12"] == ["ONETWO: one two"] * 2


WRITES = {
    "an attribute of the request": ("set_on_request", r"line 1, writes request\.cart"),
    "one behind the context's back": ("set_behind", r"writes request\.cart"),
    "an outer variable": ("set_outer", r"writes the variable 'total' of the page around it"),
    "a new outer variable": ("set_new", r"writes the variable 'new' of the page around it"),
    "a note to other tags": ("set_note", r"writes render_context\['stack'\]"),
    "a cycle of the page": ("cycle rows", r"writes the variable 'rows' of the page around it"),
}


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch, rf: RequestFactory) -> Any:
    """Return what a page shows whose tags write what others read."""
    register = Library()
    request: Any = rf.get("/")
    counter = itertools.count(1)

    @register.simple_tag(takes_context=True)
    def set_on_request(context: Context) -> str:
        context["request"].cart = next(counter)
        return ""

    @register.simple_tag
    def set_behind() -> str:
        request.cart = next(counter)
        return ""

    @register.simple_tag(takes_context=True)
    def set_outer(context: Context) -> str:
        context.set_upward("total", next(counter))
        return ""

    @register.simple_tag(takes_context=True)
    def set_new(context: Context) -> str:
        context.dicts[1]["new"] = next(counter)
        return ""

    @register.simple_tag(takes_context=True)
    def set_note(context: Context) -> str:
        context.render_context["stack"] = next(counter)
        return ""

    def shown(source: str) -> str:
        libraries = engines["django"].engine.template_libraries
        monkeypatch.setitem(libraries, "page_tags", register)
        before = "{% load page_tags fragcache %}{% cycle 'a' 'b' as rows silent %}"
        context = RequestContext(request, {"request": request, "total": 0})
        return Template(before + source).render(context)

    return shown


@pytest.mark.parametrize(("tag", "message"), WRITES.values(), ids=list(WRITES))
class TestWrites:
    def test_that_a_hit_would_lose_are_errors(self, writing: Any, tag: str, message: str) -> None:
        with pytest.raises(Leak, match=rf"{{% cache %}} 'x': .*{message}.*lost whenever"):
            writing(f"{{% cache 60 x %}}{{% {tag} %}}{{% endcache %}}")
        assert happened(Event.STORED) == 0

    def test_in_production_rendered_and_not_stored(
        self, writing: Any, tag: str, message: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        for _again in "12":
            writing(f"{{% cache 60 x %}}{{% {tag} %}}{{% endcache %}}")
        assert happened(Event.STORED) == 0
        assert happened(Event.LEAK) == 2
        assert "which is lost whenever this is shown from the cache" in caplog.text

    def test_in_a_hole_are_free(self, writing: Any, tag: str, message: str) -> None:
        hole = f"{{% nocache %}}{{% {tag} %}}{{% endnocache %}}"
        writing(f"{{% cache 60 x %}}{hole}{{% endcache %}}")
        assert happened(Event.STORED) == 1


def test_what_tags_keep_for_themselves_is_no_write(writing: Any, templates: Any) -> None:
    templates({"part.html": "part"})
    body = (
        "{% cycle 'a' 'b' as own %}{% ifchanged total %}{{ total }}{% endifchanged %}"
        "{% include 'part.html' %}{% with total=1 %}{{ total }}{% endwith %}"
        "{% for n in '12' %}{{ forloop.counter }}{% cycle 'x' 'y' %}{% endfor %}"
        "{% block b %}{% now 'Y' as year %}{% endblock %}{{ request.path|default:'' }}"
    )
    source = "{% cache 60 x request.path %}" + body + "{% endcache %}"
    assert writing(source) == writing(source) == "a0part11x2y/"
    assert happened(Event.STORED) == 1
