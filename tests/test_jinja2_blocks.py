"""``{% cache %}`` in Jinja2: a block is rendered once, and kept apart from all others."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.template import TemplateSyntaxError, engines
from django.test import RequestFactory
from django.utils import timezone, translation

from fragcache import ImproperlyDeclared, InvalidArguments, NoIdentity, UndefinedArgument
from fragcache.blocks import token_name
from fragcache.events import Event
from fragcache.keys import encode_arguments
from fragcache.store import store
from fragcache.tokens import replace
from tests.block_pages import Counter
from tests.fixtures import Clock, RoundTrips, happened, in_request
from tests.jinja2_pages import Jinja, named, page
from tests.library.models import Artist

jinja2 = pytest.importorskip("jinja2")

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded", "redis"], indirect=True),
    pytest.mark.usefixtures("cache_alias", "jinja"),
]

BLOCK = "{% cache 60, 'menu' %}{{ n }}{% endcache %}"


class TestKeeping:
    def test_a_block_is_rendered_once(self, n: Counter, jinja: Jinja) -> None:
        jinja({"page.html": "({% cache 60, 'menu' %}<b>{{ n }}</b>{% endcache %})"})
        assert [named("page.html", n=n) for _ in range(3)] == ["(<b>1</b>)"] * 3
        assert happened(Event.STORED, "page.html|menu") == 1
        assert happened(Event.HIT, "page.html|menu") == 2

    def test_once_per_combination_of_values_and_of_their_types(self, n: Counter) -> None:
        source = "{% cache 60, menu, a, b %}{{ n }}{% endcache %}"
        pairs: list[tuple[Any, Any]] = [
            *((1, 2), ("1", 2), (None, 2), (True, 2), ("a:b", "c"), ("a", "b:c")),
        ]
        for _again in range(2):
            html = [page(source, n=n, a=a, b=b) for a, b in pairs]
            assert html == ["1", "2", "3", "4", "5", "6"]

    def test_rows_and_visitors_are_values(self, n: Counter, artists: list[Artist]) -> None:
        source = "{% cache 60, menu, who %}{{ n }}{% endcache %}"
        for who, html in zip([*artists, AnonymousUser(), None], "1233", strict=True):
            assert page(source, n=n, who=who) == html
        with pytest.raises(NoIdentity, match=r"cannot be an argument.*fragment_identity"):
            page(source, n=n, who=object())

    def test_language_and_time_zone_are_values_unless_refused(self, n: Counter) -> None:
        for options in ("", ", vary_on=['-language', '-time_zone']"):
            source = "{% cache 60, menu" + options + " %}{{ n }}{% endcache %}"
            with translation.override("en"):
                first = page(source, n=n)
            with translation.override("de"):
                second = page(source, n=n)
            with timezone.override("Asia/Tokyo"):
                third = page(source, n=n)
            assert len({first, second, third}) == (1 if options else 3)

    def test_axes_are_told_the_request(self, n: Counter, settings: Any, rf: RequestFactory) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.test_tags.Tenant"]}
        source = "{% cache 60, menu, vary_on=['tenant'] %}{{ n }}{% endcache %}"
        first, second = (rf.get("/", headers={"host": f"{x}.example"}) for x in "ab")
        assert [page(source, r, n=n) for r in (first, second, first)] == ["1", "2", "1"]

    @pytest.mark.parametrize("timeout", ["60", "60.0", "'60'", "seconds"])
    def test_until_its_time_out(
        self, n: Counter, clock: Clock, trips: RoundTrips, timeout: str
    ) -> None:
        source = "{% cache " + timeout + ", menu %}{{ n }}{% endcache %}"
        assert [page(source, n=n, seconds=60) for _ in "12"] == ["1", "1"]
        assert trips.of("store_many")[0].timeout == 60
        clock.step(61)
        assert page(source, n=n, seconds=60) == "2"

    def test_for_ever_where_the_time_out_is_none(self, n: Counter, trips: RoundTrips) -> None:
        source = "{% cache none, menu %}{{ n }}{% endcache %}"
        assert [page(source, n=n) for _ in "12"] == ["1", "1"]
        assert trips.of("store_many")[0].timeout is None

    @pytest.mark.parametrize("timeout", ["0", "-1"])
    def test_not_at_all_where_it_is_nothing(
        self, n: Counter, trips: RoundTrips, timeout: str
    ) -> None:
        source = "{% cache " + timeout + ", menu %}{{ n }}{% endcache %}"
        assert [page(source, n=n) for _ in "12"] == ["1", "2"]
        assert trips == []

    def test_in_the_cache_that_is_named(self, n: Counter, trips: RoundTrips) -> None:
        caches["locmem"].clear()
        source = "{% cache 60, menu, using=alias %}{{ n }}{% endcache %}"
        assert [page(source, n=n, alias="locmem") for _ in "12"] == ["1", "1"]
        caches["locmem"].clear()
        assert [page(source, n=n, alias=a) for a in ("locmem", None)] == ["2", "3"]

    def test_until_the_token_of_its_name_is_replaced(self, n: Counter, jinja: Jinja) -> None:
        jinja({"a.html": BLOCK, "b.html": BLOCK})
        assert [named(x, n=n) for x in ("a.html", "b.html")] == ["1", "2"]
        replace(store(), [token_name("menu")])
        assert [named(x, n=n) for x in ("a.html", "b.html", "a.html")] == ["3", "4", "3"]

    def test_until_the_stamp_of_its_name_and_values_is_replaced(
        self, n: Counter, jinja: Jinja
    ) -> None:
        source = "{% cache 60, 'menu', value %}{{ n }}{% endcache %}"
        jinja({"a.html": source, "b.html": source})
        assert [named(x, n=n, value=5) for x in ("a.html", "b.html")] == ["1", "2"]
        assert named("a.html", n=n, value=6) == "3"

        replace(store(), [token_name("menu")._replace(arguments=encode_arguments([5]))])

        assert [named(x, n=n, value=5) for x in ("a.html", "b.html")] == ["4", "5"]
        assert named("a.html", n=n, value=6) == "3"

    def test_an_error_is_the_page_s_and_nothing_is_stored(
        self, n: Counter, trips: RoundTrips
    ) -> None:
        error = LookupError("its own")

        def fail() -> str:
            raise error

        source = "{% cache 60, menu %}{{ fail() }}{% endcache %}"
        with pytest.raises(LookupError) as raised:
            page(source, fail=fail)
        assert raised.value is error
        assert trips.of("store_many") == []
        assert page(source, fail=lambda: "well") == "well"

    def test_autoescaping_is_that_of_the_page(self) -> None:
        source = "{% cache 60, menu %}<i>{{ text }}</i>{% endcache %}"
        html = [page(source, text="<b>") for _ in "12"]
        assert html == ["<i>&lt;b&gt;</i>"] * 2

    def test_a_broken_cache_is_no_error_of_the_page(
        self, n: Counter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fragcache.exceptions import CacheUnavailable
        from fragcache.store import Store

        def fail(*_args: Any) -> Any:
            raise CacheUnavailable("down")

        monkeypatch.setattr(Store, "fetch_many", fail)
        assert [page(BLOCK, n=n) for _ in "12"] == ["1", "2"]

    def test_a_page_asks_for_a_block_once_however_often_it_shows_it(
        self, n: Counter, trips: RoundTrips
    ) -> None:
        source = BLOCK * 3
        page(source, n=n)
        trips.clear()
        with in_request():
            assert page(source, n=n) == "111"
        assert len(trips) <= 2  # the head, and what it names

    def test_nothing_is_kept_where_fragments_are_switched_off(
        self, n: Counter, settings: Any, trips: RoundTrips
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "ENABLED": False}
        assert [page(BLOCK, n=n) for _ in "12"] == ["1", "2"]
        assert trips == []


class TestBeingApart:
    def test_of_two_templates_with_one_name(self, n: Counter, jinja: Jinja) -> None:
        jinja({"a.html": BLOCK, "b.html": BLOCK})
        assert [named(x, n=n) for x in ("a.html", "b.html") * 2] == ["1", "2", "1", "2"]

    def test_of_two_bodies_with_one_name_in_one_template(self, n: Counter) -> None:
        source = BLOCK + "{% cache 60, 'menu' %}other{% endcache %}" + BLOCK
        assert [page(source, n=n) for _ in "12"] == ["1other1"] * 2

    def test_of_two_templates_without_a_name(self, n: Counter) -> None:
        assert [page(x + BLOCK, n=n) for x in "abab"] == ["a1", "b2", "a1", "b2"]

    @pytest.mark.parametrize("part", ["page", "part", "macros", "base"])
    def test_of_two_releases_of_the_template_and_what_it_names(
        self, n: Counter, jinja: Jinja, part: str
    ) -> None:
        sources = {
            "page": "{% extends 'base.html' %}{% import 'macros.html' as m %}{% block a %}"
            "{% cache 60, menu %}{% include 'part.html' %}{{ m.x() }}{{ super() }}{{ n }}"
            "{% endcache %}{% endblock %}",
            "part": "part ",
            "macros": "{% macro x() %}macro {% endmacro %}",
            "base": "{% block a %}base {% endblock %}",
        }
        jinja({f"{name}.html": source for name, source in sources.items()})
        assert [named("page.html", n=n) for _ in "12"] == ["part macro base 1"] * 2
        jinja({f"{part}.html": sources[part] + "{# changed #}"})
        assert [named("page.html", n=n) for _ in "12"] == ["part macro base 2"] * 2
        jinja({f"{part}.html": sources[part]})
        assert named("page.html", n=n) == "part macro base 1"

    def test_of_what_a_template_without_a_name_includes(self, n: Counter, jinja: Jinja) -> None:
        source = "{% cache 60, menu %}{% include 'part.html' %}{{ n }}{% endcache %}"
        for text, html in (("a", "a1"), ("b", "b2"), ("a", "a1")):
            jinja({"part.html": text})
            assert page(source, n=n) == html

    def test_of_a_fragment_that_is_shown(self, n: Counter, jinja: Jinja, declare: Any) -> None:
        declare("inner.html", name="library.inner")(nothing)
        source = "{% cache 60, menu %}{{ fragment('library.inner') }}{{ n }}{% endcache %}"
        for text, html in (("a", "a1"), ("b", "b2"), ("a", "a1")):
            jinja({"inner.html": text})
            assert page(source, n=n) == html

    @pytest.mark.parametrize("body", ["{% block a %}{% endblock %}", "{{ self.a() }}"])
    def test_of_templates_that_override_its_parts(self, jinja: Jinja, body: str) -> None:
        base = "{% cache 60, menu %}" + body + "{% endcache %}"
        if "self" in body:
            base += "{% if none %}{% block a %}{% endblock %}{% endif %}"
        child = "{% extends 'base.html' %}{% block a %}NAME{% endblock %}"
        jinja({"base.html": base, **{f"{x}.html": child.replace("NAME", x) for x in "ab"}})
        assert [named(f"{x}.html") for x in "abab"] == ["a", "b", "a", "b"]
        assert happened(Event.HIT) == 2
        assert [page(child.replace("NAME", x)) for x in "cd"] == ["c", "d"]
        assert happened(Event.NOT_STORED, "<string>|menu") == 2

    def test_a_block_in_a_parent_or_include_is_one_for_all_who_show_it(
        self, n: Counter, jinja: Jinja
    ) -> None:
        jinja(
            {
                "base.html": BLOCK + "{% block a %}{% endblock %}",
                "a.html": "{% extends 'base.html' %}",
                "b.html": "{% include 'base.html' %}",
            }
        )
        assert [named(x, n=n) for x in ("a.html", "b.html", "base.html")] == ["1"] * 3

    def test_an_engine_that_reloads_sees_changes(self, n: Counter, jinja: Jinja) -> None:
        sources = {"page.html": "{% cache 60, a %}{% include 'x' %}{% endcache %}", "x": "1"}
        loader = jinja2.FunctionLoader(lambda name: (sources[name], None, lambda: False))
        jinja(loader=loader, auto_reload=True)
        assert named("page.html") == "1"
        sources["x"] = "2"
        assert named("page.html") == "2"

    def test_a_worker_that_compiled_the_former_file_stores_nothing_for_the_next_release(
        self, jinja: Jinja
    ) -> None:
        source = "{% set x = 'former' %}{% cache 60, a %}{{ x }}{% endcache %}"
        sources = {"page.html": source}
        loader = jinja2.FunctionLoader(lambda name: (sources[name], None, lambda: True))
        jinja(loader=loader)
        template = engines["jinja2"].get_template("page.html")
        sources["page.html"] = source.replace("former", "latest")
        assert template.render() == "former"

        jinja(loader=loader)
        assert named("page.html") == "latest"

    def test_of_fragments_and_of_what_else_has_a_key(self, n: Counter, trips: RoundTrips) -> None:
        page("{% cache 60, 'a:b@c#d!e~f|g ä' %}{{ n }}{% endcache %}", n=n)
        keys = [key for trip in trips for key in trip.keys]
        assert all("<string>|" in key or "|a" in key for key in keys)
        assert {key.count("a%3Ab%40c%23d%21e%7Ef%7Cg%20%C3%A4") for key in keys} == {1}

    def test_compiled_templates_that_were_kept_know_what_they_were_compiled_of(
        self, n: Counter, jinja: Jinja, tmp_path: Any
    ) -> None:
        jinja({"page.html": BLOCK})
        for _process in range(2):
            jinja(bytecode_cache=jinja2.FileSystemBytecodeCache(str(tmp_path)))
            assert named("page.html", n=n) == "1"


class TestNesting:
    def test_blocks_and_fragments_inside_of_a_block_are_kept_too(
        self, n: Counter, artist_card: Any, artists: list[Artist], renders: list[Any]
    ) -> None:
        source = (
            "{% cache 60, outer, key %}{% cache 60, inner %}{{ n }}{% endcache %}"
            "{{ fragment('library.artist_card', artist) }}{% endcache %}"
        )
        html = [page(source, n=n, key=key, artist=artists[0]) for key in "aabb"]
        assert html == ["1<b>Nina</b>"] * 4
        assert renders == [artists[0].pk]
        assert n.times == 1

    def test_a_block_in_the_template_of_a_fragment(
        self, n: Counter, jinja: Jinja, declare: Any
    ) -> None:
        jinja({"x.html": "{{ word }}" + BLOCK})
        declare("x.html", name="library.x")(lambda word: {"word": word, "n": n})
        source = "{{ fragments('library.x', 'abab'|list) }}"
        assert [page(source) for _ in "12"] == ["a1b1a1b1"] * 2

    def test_what_may_not_be_kept_keeps_the_block_around_it_out(
        self, in_production: None, n: Counter, trips: RoundTrips
    ) -> None:
        source = (
            "{% cache 60, outer %}{% cache 60, inner, wrod %}{{ n }}{% endcache %}{% endcache %}"
        )
        assert [page(source, n=n) for _ in "12"] == ["1", "2"]
        assert trips.of("store_many") == trips.of("advance_many") == []

    def test_an_inner_axis_keeps_the_block_around_it_out(self, n: Counter) -> None:
        source = (
            "{% cache 60, outer, vary_on=['-language'] %}{% cache 60, inner %}{{ n }}"
            "{% endcache %}{% endcache %}"
        )
        html = []
        for language in ("en", "de", "en"):
            with translation.override(language):
                html.append(page(source, n=n))
        assert html == ["1", "2", "1"]

    def test_the_body_uses_what_is_around_it(self) -> None:
        source = (
            "{% macro m(x) %}{% cache 60, 'macro', x %}{{ x }}{% endcache %}{% endmacro %}"
            "{% set y = 5 %}{% for x in 'ab' %}{% cache 60, loop, x, loop.index %}"
            "{{ loop.index }}{{ x }}{{ y }}{{ m(x) }}{% set y = 6 %}{% endcache %}{{ y }}"
            "{% endfor %}"
        )
        assert [page(source) for _ in "12"] == ["1a5a52b5b5"] * 2

    def test_the_caller_of_a_macro_is_called_before_the_body(self) -> None:
        source = (
            "{% macro m() %}{% set inner = caller() %}{% cache 60, menu %}({{ inner }})"
            "{% endcache %}{% endmacro %}{% call m() %}text{% endcall %}"
        )
        assert [page(source) for _ in "12"] == ["(text)"] * 2


class TestUndefined:
    MESSAGE = (
        r"^{% cache %} 'menu' in <string>: wrod does not resolve\. Is it misspelled, or not "
        r"passed to this template\? Where it may be absent, give it a default\.$"
    )

    @pytest.mark.parametrize("given", ["wrod", "1, wrod", "using=wrod", "vary_on=[wrod]"])
    @pytest.mark.parametrize("kind", ["Undefined", "StrictUndefined"])
    def test_values_are_errors_in_tests_and_not_kept_in_production(
        self, jinja: Jinja, n: Counter, trips: RoundTrips, settings: Any,
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: str, kind: str,
    ) -> None:  # fmt: skip
        jinja(undefined=getattr(jinja2, kind))
        source = "{% cache 60, menu, " + given + " %}{{ n }}{% endcache %}"
        with pytest.raises(UndefinedArgument, match=self.MESSAGE):
            page(source, n=n)

        from django.core import mail

        monkeypatch.delattr(mail, "outbox")
        assert [page(source, n=n) for _ in "12"] == ["1", "2"]
        assert trips == []
        assert happened(Event.UNDEFINED_ARGUMENT, "<string>|menu") == 2
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert "wrod does not resolve" in record.message

    def test_values_with_a_default_are_kept(self, n: Counter) -> None:
        source = "{% cache 60, menu, wrod|default(none), mapping.absent %}{{ n }}{% endcache %}"
        assert [page(source, n=n, mapping={}) for _ in "12"] == ["1", "1"]

    @pytest.mark.parametrize("timeout", ["wrod", "'soon'", "true", "[]"])
    def test_a_time_out_that_is_none_is_told(self, timeout: str) -> None:
        with pytest.raises(
            InvalidArguments, match=r"'menu' in <string>: its time-out is .*, not a"
        ):
            page("{% cache " + timeout + ", menu %}{% endcache %}")

    def test_axes_are_a_list(self) -> None:
        with pytest.raises(ImproperlyDeclared, match=r"write vary_on=\['site'\]"):
            page("{% cache 1, menu, vary_on='site' %}{% endcache %}")


class TestGrammar:
    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            ("cache 60", r"expected token ','"),
            ("cache 60 menu", r"expected token ','"),
            ("cache 60, menu.x", r"takes a time-out and a literal name"),
            ("cache 60, 5", r"takes a time-out and a literal name"),
            ("cache 60, menu, usign='x'", r"no option 'usign'\. Did you mean 'using'\?"),
            ("cache 60, menu, using='x', using='y'", r"{% cache %} gets 'using' twice\."),
            ("cache 60, menu, using='x', 1", r"a value stands after a name=value: put it before"),
            ("cache 60, menu, 1 2", r"expected token 'end of statement block'"),
        ],
    )
    def test_mistakes_are_told_when_the_template_is_compiled(
        self, jinja: Jinja, tag: str, message: str
    ) -> None:
        jinja({"page.html": "{% " + tag + " %}{% endcache %}"})
        with pytest.raises(TemplateSyntaxError, match=message):
            named("page.html")

    def test_an_asynchronous_environment_is_refused(self, jinja: Jinja) -> None:
        jinja(enable_async=True)
        with pytest.raises(ImproperlyConfigured, match=r"does not work with enable_async"):
            page("text")


def nothing() -> dict[str, Any]:
    return {}
