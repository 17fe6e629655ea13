"""``FRAGCACHE["DEBUG_COMMENTS"]``: pages say in comments what became of their fragments."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.checks import run_checks

from fragcache import Fragment, get_fragment
from tests.fixtures import any_cache, in_request
from tests.library.models import Artist
from tests.pages import configure, page

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("commenting")]
CARD = "{% fragment 'library.artist_card' artist %}"


@pytest.fixture
def commenting(cache_alias: str, settings: Any) -> None:
    settings.DEBUG = True
    settings.FRAGCACHE = {**settings.FRAGCACHE, "DEBUG_COMMENTS": True}


@pytest.fixture
def nina(artists: list[Artist]) -> Artist:
    return artists[0]


def visited(source: str, **context: Any) -> str:
    with in_request():
        return page(source, **context)


def comments(text: str) -> list[str]:
    return re.findall(r"<!-- (.*?) -->", text)


def test_a_render_and_a_hit(artist_card: Fragment, nina: Artist) -> None:
    cold, warm = visited(CARD, artist=nina), visited(CARD, artist=nina)

    said, end = comments(cold)
    size = "11 B"
    assert re.fullmatch(
        rf"fragcache library\.artist_card \(pk={nina.pk}\) rendered missed as cold {size} in .*s",
        said,
    )
    assert end == "/fragcache library.artist_card"
    said = comments(warm)[0]
    assert re.search(rf"\(pk={nina.pk}\) hit local {size} .* old", said)
    assert re.sub("<!--.*?-->", "", warm) == "<b>Nina</b>"


def test_each_of_many_has_its_own(artist_card: Fragment, artists: list[Artist]) -> None:
    text = visited("{% fragments 'library.artist_card' artists %}", artists=artists)

    begins = comments(text)[::2]
    assert len(comments(text)) == 4
    for artist, said in zip(artists, begins, strict=True):
        assert f"(pk={artist.pk})" in said


def test_a_block_has_its_own_and_what_is_in_it_none(
    artist_card: Fragment, nina: Artist, templates: Any
) -> None:
    source = "{% cache 60 side artist.pk %}<p>" + CARD + "</p>{% endcache %}"

    said = comments(visited(source, artist=nina))

    assert len(said) == 2
    assert re.match(r"fragcache .+\|side \(value_1=\d+\) rendered missed as cold", said[0])


def test_a_block_that_is_not_kept_leaves_comments_to_what_is_in_it(
    artist_card: Fragment, nina: Artist
) -> None:
    source = "{% cache 0 side %}<p>" + CARD + "</p>{% endcache %}"

    said = comments(visited(source, artist=nina))

    assert [text.split()[1] for text in said] == ["library.artist_card"] * 2


def test_nothing_of_it_is_stored(
    declare: Any, templates: Any, artist_card: Fragment, nina: Artist
) -> None:
    templates({"outer.html": "{% load fragcache %}<i>" + CARD + "</i>"})

    @declare("outer.html", name="library.outer", items=Artist.objects.all, version="updated_at")
    def outer(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    text = visited("{% fragment 'library.outer' artist %}", artist=nina)

    assert len(comments(text)) == 2
    for name in "library.outer", "library.artist_card":
        assert "<!--" not in get_fragment(name, nina)


def test_none_where_a_variable_takes_it(artist_card: Fragment, nina: Artist) -> None:
    source = "{% fragment 'library.artist_card' artist as card %}{{ card }}"

    assert visited(source, artist=nina) == "<b>Nina</b>"


def test_none_around_a_text_which_may_stand_in_an_attribute(greeting: Fragment) -> None:
    source = "<a title=\"{% fragment 'library.greeting' 'Ada' %}\">"

    assert visited(source) == '<a title="Hello Ada">'


def test_no_value_ends_a_comment(declare: Any, templates: Any) -> None:
    templates({"x.html": "<b>x</b>"})

    @declare("x.html", name="library.text")
    def text(value: str) -> dict[str, Any]:
        return {}

    for evil in ("--><script>alert(1)</script>", "--!><b>", "->", "---", '" onload="x'):
        shown = visited("{% fragment 'library.text' evil %}", evil=evil)
        match = re.fullmatch(r"<!--(.*?)-->(.*?)<!--(.*?)-->", shown)
        assert match is not None
        assert match[2] == "<b>x</b>"
        for said in match[1], match[3]:
            assert not re.search(r"--|[<>\"']", said)


def test_beside_an_item_that_is_none_they_have_names_alone(
    artist_card: Fragment, artists: list[Artist]
) -> None:
    nina, ella = artists
    text = visited("{% fragments 'library.artist_card' artists %}", artists=[nina, None, ella])

    assert set(comments(text)) == {
        "fragcache library.artist_card",
        "/fragcache library.artist_card",
    }


def test_none_without_debug_which_a_check_says(
    artist_card: Fragment, nina: Artist, settings: Any
) -> None:
    settings.DEBUG = False

    assert visited(CARD, artist=nina) == "<b>Nina</b>"
    assert "fragcache.W015" in {message.id for message in run_checks()}
    with configure(DEBUG_COMMENTS=False):
        assert "fragcache.W015" not in {message.id for message in run_checks()}
