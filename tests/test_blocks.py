"""``{% cache %}`` in Django templates: Django's grammar, and blocks that are kept apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from django.template import Context, Engine, Template, TemplateSyntaxError
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import translation

from fragcache import (
    NoIdentity,
    UndefinedArgument,
    get_fragment,
    invalidate_all_template_fragments,
    invalidate_template_fragment,
)
from fragcache.events import Event
from tests.block_pages import LOAD, Counter, shown
from tests.fixtures import Clock, RoundTrips, happened, in_request
from tests.library.models import Artist

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded", "redis"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]


class TestKeeping:
    def test_a_block_is_rendered_once(self, n: Counter, templates: Any) -> None:
        templates({"page.html": LOAD + "({% cache 60 menu %}<b>{{ n }}</b>{% endcache %})"})
        assert [render_to_string("page.html", {"n": n}) for _ in range(3)] == ["(<b>1</b>)"] * 3
        assert happened(Event.STORED, "page.html|menu") == 1
        assert happened(Event.HIT, "page.html|menu") == 2

    @pytest.mark.parametrize("name", ['"menu"', "'menu'", "menu"])
    def test_a_name_is_one_with_quotes_and_without(self, n: Counter, name: str) -> None:
        shown("{% cache 60 menu %}{{ n }}{% endcache %}", n=n)
        assert shown(f"{{% cache 60 {name} %}}{{{{ n }}}}{{% endcache %}}", n=n) == "1"

    def test_once_per_combination_of_values_and_of_their_types(self, n: Counter) -> None:
        block = "{% cache 60 menu a b %}{{ n }}{% endcache %}"
        values = [("a:b", "c"), ("a", "b:c"), (1, 2), ("1", "2"), (1, None), (True, None)]
        first = [shown(block, n=n, a=a, b=b) for a, b in values]
        assert first == ["1", "2", "3", "4", "5", "6"]
        assert [shown(block, n=n, a=a, b=b) for a, b in values] == first

    def test_rows_visitors_and_queries_are_values(self, n: Counter, artists: list[Artist]) -> None:
        block = "{% cache 60 menu value %}{{ n }}{% endcache %}"
        values = [*artists, AnonymousUser(), QueryDict("a=1&a=2"), QueryDict("a=2")]
        assert [shown(block, n=n, value=value) for value in values * 2] == [*"12345"] * 2

    def test_language_is_a_value_unless_refused(self, n: Counter) -> None:
        for options, expected in (("", ["1", "2"]), (' vary_on="-language"', ["3", "3"])):
            block = f"{{% cache 60 menu{options} %}}{{{{ n }}}}{{% endcache %}}"
            found = []
            for language in ("en", "de"):
                with translation.override(language):
                    found.append(shown(block, n=n))
            assert found == expected

    def test_until_its_time_out(self, n: Counter, clock: Clock) -> None:
        block = "{% cache seconds menu %}{{ n }}{% endcache %}"
        assert shown(block, n=n, seconds=60) == "1"
        clock.step(59)
        assert shown(block, n=n, seconds=60) == "1"
        clock.step(2)
        assert shown(block, n=n, seconds=60) == "2"

    @pytest.mark.parametrize("seconds", ["0", "-1"])
    def test_not_at_all_where_it_is_nothing(
        self, n: Counter, seconds: str, trips: RoundTrips
    ) -> None:
        block = f"{{% cache {seconds} menu %}}{{{{ n }}}}{{% endcache %}}"
        assert [shown(block, n=n) for _ in range(2)] == ["1", "2"]
        assert trips == []

    def test_with_a_version_until_that_moves(self, n: Counter, clock: Clock) -> None:
        block = "{% cache 60 menu pk version=state %}{{ n }}{% endcache %}"
        assert [shown(block, n=n, pk=1, state=state) for state in (1, 1, 2, 2, 1)] == [*"11221"]
        clock.step(61)
        assert shown(block, n=n, pk=1, state=2) == "3"

    def test_a_stale_one_is_shown_while_one_visitor_renews_it(
        self, n: Counter, clock: Clock
    ) -> None:
        block = "{% cache 60 menu stale_while_revalidate=30 %}{{ word }}{{ n }}{% endcache %}"
        found = []
        for word in "abc":
            with in_request():
                context = Context({"n": n, "word": word})
                found.append(Template(LOAD + block).render(context))
                context["word"] = "later"
            clock.step(61)
        assert found == ["a1", "a1", "b2"]
        assert happened(Event.STALE_SERVED) == 2

    def test_an_error_is_the_page_s_and_nothing_is_stored(self) -> None:
        def fail() -> None:
            raise RuntimeError("no menu")

        with pytest.raises(RuntimeError, match="no menu"):
            shown("{% cache 60 menu %}{{ fail }}{% endcache %}", fail=fail)
        assert happened(Event.STORED) == 0

    def test_the_body_uses_what_is_around_it(self) -> None:
        source = (
            "{% for row in rows %}{% cache 60 row row.pk %}"
            "{{ forloop.counter }}{{ row.name }} {% endcache %}{% endfor %}"
        )
        rows = [{"pk": 1, "name": "a"}, {"pk": 2, "name": "b"}]
        assert [shown(source, rows=rows) for _ in range(2)] == ["1a 2b "] * 2


class TestBeingApart:
    def test_of_two_templates_with_one_name(self, templates: Any) -> None:
        block = "{% cache 60 menu %}{{ n }}{% endcache %}"
        templates({"one.html": LOAD + block, "two.html": LOAD + block})
        assert render_to_string("one.html", {"n": 1}) == "1"
        assert render_to_string("two.html", {"n": 2}) == "2"

    def test_of_two_bodies_with_one_name_in_one_template(self) -> None:
        source = "{% cache 60 menu %}a{% endcache %}{% cache 60 menu %}b{% endcache %}"
        assert [shown(source), shown(source)] == ["ab", "ab"]

    def test_of_two_releases_of_what_it_includes(self, templates: Any, n: Counter) -> None:
        from fragcache import digests

        page = LOAD + "{{ around }}{% cache 60 menu %}{% include 'part.html' %}{% endcache %}"
        templates({"page.html": page, "part.html": "old {{ n }}"})
        assert render_to_string("page.html", {"n": n}) == "old 1"
        templates({"page.html": "more text " + page})
        assert render_to_string("page.html", {"n": n}) == "more text old 1"
        templates({"part.html": "new {{ n }}"})
        digests.forget()
        assert render_to_string("page.html", {"n": n}) == "more text new 2"

    def test_of_templates_that_override_its_parts(self, templates: Any) -> None:
        parent = "{% cache 60 menu %}{% block part %}parent{% endblock %}{% endcache %}"
        child = "{% extends 'parent.html' %}{% block part %}{{ block.super }} child{% endblock %}"
        templates({"parent.html": LOAD + parent, "child.html": child})
        pages = ["parent.html", "child.html"] * 2
        assert [render_to_string(page) for page in pages] == ["parent", "parent child"] * 2

    def test_a_block_in_a_parent_or_include_is_one_for_all_who_show_it(
        self, templates: Any, n: Counter
    ) -> None:
        templates(
            {
                "part.html": LOAD + "{% cache 60 menu %}{{ n }}{% endcache %}",
                "one.html": "{% include 'part.html' %}",
                "two.html": "2{% include 'part.html' %}",
            }
        )
        assert render_to_string("one.html", {"n": n}) == "1"
        assert render_to_string("two.html", {"n": n}) == "21"

    @pytest.mark.parametrize("by_setting", [False, True])
    def test_but_not_where_they_are_shared_on_purpose(
        self, templates: Any, settings: Any, by_setting: bool
    ) -> None:
        option = "" if by_setting else " shared=True"
        settings.FRAGCACHE = {**settings.FRAGCACHE, "SHARED_BLOCKS": by_setting}
        templates(
            {
                "one.html": LOAD + f"{{% cache 60 menu{option} %}}one{{% endcache %}}",
                "two.html": LOAD + f"{{% cache 60 menu{option} %}}two{{% endcache %}}",
            }
        )
        assert render_to_string("one.html") == "one"
        assert render_to_string("two.html") == "one"


class TestInvalidating:
    BLOCK = "{% cache 60 'menu' user %}{{ n }}{% endcache %}"

    @pytest.mark.parametrize("options", ["", " version=1"])
    def test_one_by_its_values_in_every_template(
        self, n: Counter, templates: Any, options: str
    ) -> None:
        block = LOAD + f"{{% cache 60 menu user{options} %}}{{{{ n }}}}{{% endcache %}}"
        templates({"one.html": block, "two.html": block})

        def pages() -> list[str]:
            return [
                render_to_string(page, {"n": n, "user": user})
                for page in ("one.html", "two.html")
                for user in (1, 2)
            ]

        assert pages() == ["1", "2", "3", "4"]
        invalidate_template_fragment("menu", [1])
        assert pages() == ["5", "2", "6", "4"]
        invalidate_template_fragment("menu")
        assert pages() == ["5", "2", "6", "4"]
        invalidate_all_template_fragments("menu")
        assert pages() == ["7", "8", "9", "10"]

    def test_a_value_without_identity_is_an_error(self) -> None:
        with pytest.raises(NoIdentity):
            invalidate_template_fragment("menu", [object()])


class TestNesting:
    def test_what_changes_inside_changes_the_block(
        self, artist_card: Any, artists: list[Artist]
    ) -> None:
        block = '{% cache 60 menu %}{% fragment "library.artist_card" 1 %}{% endcache %}'.replace(
            " 1 ", f" {artists[0].pk} "
        )
        assert shown(block) == "<b>Nina</b>"
        Artist.objects.filter(pk=artists[0].pk).update(
            name="Nina Simone", updated_at=artists[0].updated_at.replace(year=2100)
        )
        assert shown(block) == "<b>Nina Simone</b>"

    def test_an_invalidated_block_changes_the_fragment_around_it(
        self, declare: Any, templates: Any, n: Counter
    ) -> None:
        templates({"outer.html": LOAD + "[{% cache 60 menu %}{{ n }}{% endcache %}]"})

        @declare("outer.html", version=lambda: 1)
        def outer() -> dict[str, Any]:
            return {"n": n}

        assert [get_fragment(outer) for _ in range(2)] == ["[1]", "[1]"]
        invalidate_all_template_fragments("menu")
        assert get_fragment(outer) == "[2]"

    def test_time_that_is_over_inside_of_a_fragment(
        self, declare: Any, templates: Any, n: Counter, clock: Clock
    ) -> None:
        templates({"outer.html": LOAD + "[{% cache 60 menu %}{{ n }}{% endcache %}]"})

        @declare("outer.html", version=lambda: 1)
        def outer() -> dict[str, Any]:
            return {"n": n}

        get_fragment(outer)
        clock.step(61)
        assert get_fragment(outer) == "[2]"


class TestUndefined:
    @pytest.mark.parametrize(
        "values", ["wrod", "1 wrod", "user.naem", "using=wrod", "version=wrod"]
    )
    def test_values_are_errors_in_tests_and_not_kept_in_production(
        self, n: Counter, values: str, monkeypatch: pytest.MonkeyPatch, artists: list[Artist]
    ) -> None:
        block = f"{{% cache 60 menu {values} %}}{{{{ n }}}}{{% endcache %}}"
        with pytest.raises(UndefinedArgument, match="does not resolve"):
            shown(block, n=n, user=artists[0])
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        assert [shown(block, n=n, user=artists[0]) for _ in range(2)] == ["1", "2"]
        assert happened(Event.UNDEFINED_ARGUMENT) == 2

    def test_values_without_a_form_as_well(
        self, n: Counter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        block = "{% cache 60 menu value %}{{ n }}{% endcache %}"
        with pytest.raises(NoIdentity, match="fragment_identity"):
            shown(block, n=n, value=object())
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        assert [shown(block, n=n, value=object()) for _ in range(2)] == ["1", "2"]
        assert happened(Event.NOT_STORED) == 2

    def test_such_values_are_not_logged_and_make_one_line(
        self, n: Counter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        for value in ["secret 1", "secret 2"]:
            block = "{% cache 60 menu value %}{{ n }}{% endcache %}"
            shown(block, n=n, value=SimpleNamespace(cart=value))
        assert len(caplog.records) == 1
        assert "NoIdentity of its values (SimpleNamespace)" in caplog.text
        assert "secret" not in caplog.text

    def test_values_with_a_default_are_kept(self, n: Counter) -> None:
        block = "{% cache 60 menu user|default:None %}{{ n }}{% endcache %}"
        assert [shown(block, n=n) for _ in range(2)] == ["1", "1"]


class TestGrammar:
    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            ("cache", "takes a time-out"),
            ("cache 60", "takes a time-out"),
            ('cache 60 menu usign="default"', "Did you mean 'using'"),
            ('cache 60 menu using="default" value', "put it before"),
            ('cache 60 menu using="default" using="default"', "twice"),
        ],
    )
    def test_mistakes_are_told_when_the_template_is_compiled(self, tag: str, message: str) -> None:
        with pytest.raises(TemplateSyntaxError, match=message):
            Template(LOAD + f"{{% {tag} %}}{{% endcache %}}")

    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            ("cache wrod menu", "wrod does not resolve"),
            ("cache word menu", "not a number of seconds"),
            ('cache 60 menu using="unknown"', "no alias of settings.CACHES"),
        ],
    )
    def test_others_when_it_is_rendered(self, tag: str, message: str) -> None:
        with pytest.raises(TemplateSyntaxError, match=message):
            shown(f"{{% {tag} %}}{{% endcache %}}", word="soon")

    def test_all_templates_of_a_site_move_over_by_one_setting(self, n: Counter) -> None:
        engine = Engine(libraries={"cache": "fragcache.templatetags.fragcache"})
        template = engine.from_string("{% load cache %}{% cache 60 menu %}{{ n }}{% endcache %}")
        assert [template.render(Context({"n": n})) for _ in range(2)] == ["1", "1"]
        assert happened(Event.HIT, "<string>|menu") == 1

    def test_the_request_tells_axes(self, n: Counter, settings: Any, rf: RequestFactory) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.test_tags.Tenant"]}
        block = '{% cache 60 menu vary_on="tenant, -language" %}{{ n }}{% endcache %}'
        template = Template(LOAD + block)
        first, second = (rf.get("/", headers={"host": f"{x}.example"}) for x in "ab")
        found = [
            template.render(Context({"n": n, "request": request}))
            for request in (first, second, first)
        ]
        assert found == ["1", "2", "1"]
