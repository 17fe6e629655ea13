"""Closures: the templates and fragments that a template is made of, literal and chosen ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import django
import pytest
from django.template import TemplateDoesNotExist

from fragcache import Fragment, ImproperlyDeclared
from fragcache.digests import digest_of, includes_digest
from fragcache.rendering import render_many
from fragcache.slots import includes_are_current
from tests.releases import cached, html, locmem, module, nothing, template_settings

Declare = Callable[..., Any]
Templates = Callable[[Mapping[str, str]], None]


# Fragments that show each other


def test_fragments_that_show_each_other_have_digests_that_know_both(
    declare: Declare, templates: Templates
) -> None:
    a = declare("a.html", name="library.a")(lambda name=None: {})
    b = declare("b.html", name="library.b")(lambda name=None: {})
    shows = "{{% load fragcache %}}{{% if name %}}{{% fragment 'library.{}' %}}{{% endif %}}"
    sources = {"a.html": shows.format("b"), "b.html": shows.format("a")}

    def both(changes: Mapping[str, str]) -> tuple[str, str]:
        templates({**sources, **changes})
        return digest_of(a), digest_of(b)

    before = both({})
    assert before[0] != before[1]
    for name, source in sources.items():
        after = both({name: source + "changed"})
        assert after[0] != before[0]
        assert after[1] != before[1]


def test_a_fragment_that_shows_itself_has_a_digest(declare: Declare, templates: Templates) -> None:
    templates({"a.html": "{% load fragcache %}{% fragment 'library.a' %}"})
    a = declare("a.html", name="library.a")(nothing)

    assert digest_of(a)


def test_a_template_that_includes_itself_has_a_digest(
    declare: Declare, templates: Templates
) -> None:
    templates({"tree.html": "{% for a in b %}{% include './tree.html' %}{% endfor %}"})
    tree = declare("tree.html", name="library.tree")(nothing)

    assert digest_of(tree)
    assert html(tree) == ""


def test_a_fragment_that_nobody_declares_here_is_no_part(
    declare: Declare, templates: Templates
) -> None:
    """A target shows fragments of its source, which have digests of their own."""
    templates({"a.html": "{% load fragcache %}{% fragment 'elsewhere.b' %}"})

    assert digest_of(declare("a.html", name="library.a")(nothing))


# Includes


def test_a_literal_include_that_is_missing_fails_only_where_it_is_rendered(
    declare: Declare, templates: Templates
) -> None:
    templates({"a.html": "{% if never %}{% include 'none.html' %}{% endif %}a"})
    a = declare("a.html", name="library.a")(nothing)

    assert digest_of(a)
    assert html(a) == "a"


@pytest.mark.parametrize(
    "source", ["{% extends name %}", "{% extends 'base'|add:'.html' %}", "{% include 'b.html' %}"]
)
def test_extending_by_a_variable_says_what_to_do(
    declare: Declare, templates: Templates, source: str
) -> None:
    templates({"a.html": source, "b.html": "{% extends name %}", "base.html": ""})
    a = declare("a.html", name="library.a")(nothing)
    message = (
        r"A fragment's template extends \S+, which only a render knows: name the parent literally, "
        "so that its changes change the fragment's digest."
    )

    with pytest.raises(ImproperlyDeclared, match=message):
        digest_of(a)


def test_a_missing_parent_is_an_error_as_it_is_when_rendering(
    declare: Declare, templates: Templates
) -> None:
    templates({"a.html": "{% extends 'none.html' %}"})
    a = declare("a.html", name="library.a")(nothing)

    with pytest.raises(TemplateDoesNotExist, match=r"none\.html"):
        digest_of(a)


INCLUDED = {
    "a.html": "{% include 'literal.html' %}{% include chosen %}",
    "literal.html": "{% include also_chosen %}",
    "one.html": "{% include 'of_one.html' %}",
    "of_one.html": "1",
    "two.html": "2",
    "three.html": "3",
}


@pytest.fixture
def choosing(declare: Declare, templates: Templates) -> Any:
    templates(INCLUDED)
    return declare("a.html", name="library.a")(
        lambda chosen, also_chosen="two.html": {"chosen": chosen, "also_chosen": also_chosen}
    )


def includes(fragment: Fragment, *args: Any) -> tuple[str, ...]:
    output = render_many(fragment, [args])[0]
    assert output is not None
    return output.includes


def test_templates_that_a_variable_names_are_in_the_output(choosing: Any) -> None:
    assert includes(choosing, "one.html") == ("one.html", "two.html")
    assert includes(choosing, "three.html") == ("three.html", "two.html")
    assert includes(choosing, "two.html") == ("two.html",)


@pytest.mark.parametrize(
    "source",
    [
        "{% for name in names %}{% include name %}{% endfor %}",
        "{% for name in names %}{% include name only %}{% endfor %}",
        "{% with x=names %}{% for n in x %}{% include n with a=1 %}{% endfor %}{% endwith %}",
        "{% extends 'b.html' %}{% block a %}{% include n.0 %}{% include n.1 %}{% endblock %}",
        "{% load shop_tags %}{% names names %}",
    ],
    ids=["loop", "only", "with", "block", "inclusion tag"],
)
def test_they_are_found_wherever_they_are_included(
    declare: Declare,
    templates: Templates,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    tags = """
from django import template
register = template.Library()
@register.inclusion_tag("names.html")
def names(names):
    return {"names": names}
"""
    monkeypatch.setitem(sys.modules, "shop_tags", module("shop_tags", tags))
    settings.TEMPLATES = template_settings([], libraries={"shop_tags": "shop_tags"})
    templates(
        {
            "a.html": source,
            "b.html": "{% block a %}{% endblock %}",
            "names.html": "{% for name in names %}{% include name %}{% endfor %}",
            "one.html": "1",
            "two.html": "2",
        }
    )
    a = declare("a.html", name="library.a")(lambda names: {"names": names, "n": names})

    assert includes(a, ["two.html", "one.html"]) == ("one.html", "two.html")


def test_of_several_names_the_one_that_was_found_is_in_the_output(choosing: Any) -> None:
    assert includes(choosing, ["none.html", "three.html", "one.html"]) == (
        "three.html",
        "two.html",
    )


def test_literal_includes_are_in_the_digest_and_not_in_the_output(
    declare: Declare, templates: Templates
) -> None:
    templates({"a.html": "{% include 'one.html' %}", "one.html": "1"})

    assert includes(declare("a.html", name="library.a")(nothing)) == ()


@pytest.mark.parametrize("name", ["one.html", "of_one.html"])
def test_a_change_of_a_chosen_template_changes_their_digest_alone(
    choosing: Any, templates: Templates, name: str
) -> None:
    of_fragment, of_includes = digest_of(choosing), includes_digest(("one.html", "two.html"))

    templates({name: "changed"})

    assert digest_of(choosing) == of_fragment
    assert includes_digest(("one.html", "two.html")) != of_includes


def test_an_entry_is_current_while_the_templates_it_chose_are_those_of_then(
    choosing: Any, templates: Templates, settings: Any
) -> None:
    names = includes(choosing, "one.html")
    recorded = "\n".join((includes_digest(names), *names)).encode()
    assert includes_are_current(recorded)

    templates({"three.html": "changed"})
    assert includes_are_current(recorded)
    templates({"one.html": "changed"})
    assert not includes_are_current(recorded)
    settings.TEMPLATES = template_settings(cached(locmem({"a.html": INCLUDED["a.html"]})))
    assert not includes_are_current(recorded)  # the new release has no such template


# Partials

with_partials = pytest.mark.skipif(
    django.VERSION < (6, 0), reason="Template partials came with Django 6.0."
)
PARTIALS = """{% partialdef card %}<b>{% partial name %}</b>{% endpartialdef %}
{% partialdef name inline %}{{ name }}{% include 'part.html' %}{% endpartialdef %}
<p>elsewhere</p>"""


@with_partials
@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("page.html", "<b>", "<em>"),
        ("page.html", "{{ name }}", "{{ name|upper }}"),
        ("part.html", "part", "changed"),
    ],
)
def test_a_partial_is_a_template_with_a_digest(
    declare: Declare, templates: Templates, part: str, old: str, new: str
) -> None:
    sources = {"page.html": PARTIALS, "part.html": "part"}
    templates(sources)
    card = declare("page.html#card", name="library.card")(lambda: {"name": "Nina"})
    before = digest_of(card)
    assert html(card) == "<b>Ninapart</b>"

    templates({part: sources[part].replace(old, new)})

    assert digest_of(card) != before


@with_partials
def test_an_included_partial_is_part_of_the_digest(declare: Declare, templates: Templates) -> None:
    templates({"a.html": "{% include 'page.html#card' %}", "page.html": PARTIALS, "part.html": ""})
    card = declare("a.html", name="library.card")(lambda: {"name": "Nina"})
    before = digest_of(card)

    templates({"page.html": PARTIALS.replace("<b>", "<em>")})

    assert digest_of(card) != before
    assert html(card) == "<em>Nina</b>"


# Jinja2


def test_a_jinja2_template_is_known_with_what_it_extends_includes_and_imports(
    declare: Declare, settings: Any, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2")
    sources = {
        "card.html": "{% extends 'base.html' %}{% import 'm.html' as m %}{% block a %}"
        "{% include ['none.html', 'part.html'] %}{% include 'gone.html' ignore missing %}"
        "{% endblock %}",
        "base.html": "<p>{% block a %}{% endblock %}",
        "part.html": "part",
        "m.html": "{% macro x() %}{% endmacro %}",
        "unrelated.html": "",
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    card = declare("card.html", name="library.card")(nothing)

    def digest_with(name: str, source: str) -> str:
        (tmp_path / name).write_text(source)
        settings.TEMPLATES = [
            {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [tmp_path]}
        ]
        return digest_of(card)

    before = digest_with("unrelated.html", "")
    assert digest_with("unrelated.html", "changed") == before
    for name in ("card.html", "base.html", "part.html", "m.html"):
        assert digest_with(name, sources[name] + "changed") != before
        assert digest_with(name, sources[name]) == before
    assert digest_with("gone.html", "here now") != before
