"""Partials as fragments: of Django 6, and of django-template-partials on Django 5.2."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import django
import pytest
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string

from fragcache import get_fragment
from fragcache.digests import digest_of
from fragcache.digests.templates import is_reloading
from fragcache.events import Event
from tests.block_pages import Counter
from tests.fixtures import Clock, happened, in_request, on_target, warm
from tests.library.models import Album, Artist

IS_BUILT_IN = django.VERSION >= (6, 0)
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not IS_BUILT_IN and importlib.util.find_spec("template_partials") is None,
        reason="Django 5.2 needs django-template-partials for partials.",
    ),
    pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]
PAGE = """{% load fragcache %}<h1>{{ title }}</h1>
{% partialdef card %}<b>{% partial name %}</b>{% endpartialdef %}
{% partialdef name %}{{ artist.name }}{% include "part.html" %}{% endpartialdef %}
{% for artist in artists %}{% partial card %}{% endfor %}"""
SOURCES = {"page.html": PAGE, "part.html": "!"}
CARDS = ["<b>Nina!</b>", "<b>Ella!</b>"]

Add = Callable[[Mapping[str, str]], None]


@pytest.fixture
def partials(templates: Add, settings: Any) -> Add:
    """Like ``templates``, with partials on each Django."""

    def add(added: Mapping[str, str]) -> None:
        templates(added)
        if not IS_BUILT_IN:
            engine, *others = settings.TEMPLATES
            options = engine["OPTIONS"]
            options["loaders"] = [("template_partials.loader.Loader", options["loaders"])]
            options["builtins"] = ["template_partials.templatetags.partials"]
            settings.TEMPLATES = [engine, *others]

    add(SOURCES)
    return add


@pytest.fixture
def card(declare: Any, partials: Add, renders: list[Any]) -> Any:
    @declare("page.html#card", name="library.card", items=Artist.objects.all, version="updated_at")
    def card(artist: Artist) -> dict[str, Any]:
        renders.append(artist.name)
        return {"artist": artist}

    return card


def page(artists: list[Artist], **context: Any) -> str:
    with in_request():
        shown = render_to_string("page.html", {"artists": artists, "title": "All", **context})
    return shown.split("</h1>")[1].strip()


def test_it_is_warmed_and_shown_without_a_render(
    card: Any, artists: list[Artist], renders: list[Any]
) -> None:
    assert warm(card).totals.rendered == 2
    renders.clear()

    assert [get_fragment(card, artist) for artist in artists] == CARDS
    assert warm(card).totals.rendered == 0
    with on_target("library.card"):
        assert [get_fragment("library.card", artist.pk) for artist in artists] == CARDS
    assert renders == []


@pytest.mark.parametrize(
    ("part", "old", "new", "shown"),
    [
        ("page.html", "<b>", "<em>", "<em>Nina!</b>"),
        ("page.html", "artist.name", "artist.name|upper", "<b>NINA!</b>"),
        ("part.html", "!", "?", "<b>Nina?</b>"),
    ],
    ids=["its body", "that of one that it shows", "what that includes"],
)
def test_what_it_is_made_of_is_its_digest(
    card: Any, partials: Add, artists: list[Artist], part: str, old: str, new: str, shown: str
) -> None:
    warm(card)
    before = digest_of(card)
    partials({part: SOURCES[part].replace(old, new)})

    assert digest_of(card) != before
    assert warm(card).totals.rendered == 2
    assert get_fragment(card, artists[0]) == shown


def test_code_that_a_partial_in_it_uses_is_part_of_its_digest(card: Any, partials: Add) -> None:
    from fragcache.digests.templates import closure

    partials({"page.html": PAGE.replace("artist.name", "artist.name|title")})
    assert "title" in {getattr(code, "__name__", "") for code in closure("page.html#card").codes}


def test_templates_are_not_compiled_anew_for_each_read(card: Any) -> None:
    assert not is_reloading("page.html#card")


def test_the_page_and_the_fragment_leave_each_other_alone(
    card: Any, artists: list[Artist], renders: list[Any]
) -> None:
    warm(card)
    artists[0].name = "Somebody"  # which the page shows as it is given, and the fragment does not
    assert page(artists) == CARDS[0].replace("Nina", "Somebody") + CARDS[1]
    assert get_fragment(card, artists[0].pk) == CARDS[0]
    assert page(artists) == CARDS[0].replace("Nina", "Somebody") + CARDS[1]
    assert renders == ["Nina", "Ella"]


def test_the_page_shows_it_as_a_fragment_too(
    card: Any, partials: Add, artists: list[Artist], renders: list[Any]
) -> None:
    tag = '{% fragment "library.card" artist %}'
    partials(
        {"other.html": "{% load fragcache %}{% for artist in artists %}" + tag + "{% endfor %}"}
    )
    warm(card)
    renders.clear()
    with in_request():
        assert render_to_string("other.html", {"artists": artists}) == "".join(CARDS)
    assert renders == []


def test_one_that_is_not_there_is_an_error_that_names_it(declare: Any, partials: Add) -> None:
    missing = declare("page.html#crad", name="library.missing")(dict)
    with pytest.raises(TemplateDoesNotExist, match="crad"):
        get_fragment(missing)


DOCUMENTATION = Path(__file__).parent.parent / "docs" / "cache-tag.md"
BLOCK = """{% load fragcache %}<h1></h1>{% partialdef card %}
{% cache 60 card artist.pk %}<b>{{ artist.name }}{{ n }}</b>{% endcache %}{% endpartialdef %}
{% for artist in artists %}{% partial card %}{% endfor %}"""


def shown(html: str) -> str:
    return "".join(html.split())


def test_a_block_in_it_is_warmed_for_the_pages_that_show_it(
    declare: Any, partials: Add, artists: list[Artist], n: Counter, clock: Clock
) -> None:
    partials({"page.html": BLOCK})

    @declare("page.html#card", name="library.card", items=Artist.objects.all, version="updated_at")
    def card(artist: Artist) -> dict[str, Any]:
        return {"artist": artist, "n": n}

    warm(card)
    assert happened(Event.STORED, "page.html|card") == 2
    assert shown(page(artists, n=n)) == "<b>Nina1</b><b>Ella2</b>"
    assert happened(Event.HIT, "page.html|card") == 2

    assert warm(card).totals.rendered == 0
    clock.step(61)
    assert warm(card).totals.rendered == 2
    assert shown(page(artists, n=n)) == "<b>Nina3</b><b>Ella4</b>"


def test_a_block_in_what_pages_include_is_warmed_for_them_as_well(
    declare: Any, partials: Add, artists: list[Artist], n: Counter
) -> None:
    block = "{% cache 60 card artist.pk %}<b>{{ artist.name }}{{ n }}</b>{% endcache %}"
    include = "<h1></h1>{% for artist in artists %}{% include 'part.html' %}{% endfor %}"
    partials({"part.html": "{% load fragcache %}" + block, "page.html": include})

    @declare("part.html", name="library.part", items=Artist.objects.all, version="updated_at")
    def part(artist: Artist) -> dict[str, Any]:
        return {"artist": artist, "n": n}

    warm(part)
    assert shown(page(artists, n=n)) == "<b>Nina1</b><b>Ella2</b>"
    assert happened(Event.HIT, "part.html|card") == 2


def test_a_template_s_block_in_a_block_in_it_is_its_own(
    declare: Any, partials: Add, artists: list[Artist], n: Counter
) -> None:
    """Its source, of which Django knows nothing without DEBUG, is not asked for."""
    inner = "<b>{{ artist.name }}{{ n }}</b>"
    partials({"page.html": BLOCK.replace(inner, "{% block x %}" + inner + "{% endblock %}")})

    @declare("page.html#card", name="library.card", items=Artist.objects.all, version="updated_at")
    def card(artist: Artist) -> dict[str, Any]:
        return {"artist": artist, "n": n}

    warm(card)
    assert shown(get_fragment(card, artists[0])) == "<b>Nina1</b>"
    assert shown(page(artists, n=n)) == "<b>Nina3</b><b>Ella4</b>"


def test_the_example_of_the_documentation(
    partials: Add, artists: list[Artist], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands in docs/cache-tag.md, with albums in the place of posts."""
    section = DOCUMENTATION.read_text().split("## Warming a block")[1].split("\n## ")[0]
    block, after = re.findall(r"```django\n(.*?)```", section, re.DOTALL)
    [declaration] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    partials({"blog/index.html": block, "blog/after.html": after})
    posts = types.ModuleType("blog.models")
    posts.Post = Album  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "blog.models", posts)
    space: dict[str, Any] = {"__name__": "tests.library.fragments"}
    exec(declaration.replace("items=", 'name="blog.index_card", items='), space)
    titles = ["First", "Second"]
    albums = [Album.objects.create(title=title, artist=artists[0]) for title in titles]

    assert warm(space["index_card"]).totals.rendered == 2
    before = happened(Event.RENDERED)
    for name in ("blog/index.html", "blog/after.html"):
        with in_request():
            html = render_to_string(name, {"posts": albums})
        assert shown(html) == "<h2>First</h2><h2>Second</h2>"
    assert happened(Event.RENDERED) == before
    assert happened(Event.HIT, "blog/index.html|card") == 2
