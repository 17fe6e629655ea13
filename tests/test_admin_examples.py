"""Some instances of a fragment, on the page where one of them is to be named."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from fragcache.management.arguments import arguments_of
from tests.admin_pages import address
from tests.admin_site import staff
from tests.fixtures import any_cache
from tests.library.models import Artist

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias", "admin_site"),
]


def look(**query: str) -> Any:
    return staff("view_fragmentcache").get(address("instance", **query))


def listed(name: str) -> list[str]:
    return [example.arguments for _link, example in look(fragment=name).context["examples"]]


@pytest.fixture
def fragments(declare: Any, templates: Any) -> None:
    templates({"x.html": "x"})

    @declare(
        "x.html",
        name="library.row",
        items=lambda: Artist.objects.order_by("name"),
        choices={"variant": ["a b", "c"], "size": [1, 2]},
        version="pk",
    )
    def row(artist: Any, variant: str, size: int = 1) -> dict[str, Any]:
        return {}

    @declare("x.html", name="library.word", items=lambda: iter(["12", 12, "a=b c", 'a"b', (1, 2)]))
    def word(word: Any, other: int = 7) -> dict[str, Any]:
        return {}

    @declare("x.html", name="library.broken", items=lambda: 1 // 0)
    def broken(word: Any) -> dict[str, Any]:
        return {}


def test_each_leads_to_its_explanation(fragments: None) -> None:
    artists = [Artist.objects.create(name=name) for name in ("<Nina>", "Edith")]
    page = look(fragment="library.row").content.decode()
    links = re.findall(r'<li><a href="([^"]+)"><code>([^<]*)</code></a> ([^<]*)</li>', page)
    texts = [(html.unescape(text), title) for _link, text, title in links]
    expected = [f'{artist.pk} variant="a b"' for artist in artists]
    assert texts == [(expected[0], "&lt;Nina&gt;"), (expected[1], "Edith")]
    client = staff("view_fragmentcache")
    answer = client.get(address("instance") + html.unescape(links[1][0]))
    rows = dict(answer.context["explanation"].rows)
    assert rows["arguments"].startswith(f"{artists[1].pk}, 'a b', 1 -> ")
    assert answer.context["examples"] == []


def test_what_cannot_be_written_is_left_out(fragments: None) -> None:
    assert listed("library.word") == ['"12"', "12", '"a=b c"', "1 2"]


def test_there_are_no_more_than_a_page_of_them(
    fragments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fragcache.admin.examples.NUMBER", 2)
    Artist.objects.bulk_create(Artist(name=name) for name in "abcd")
    assert len(listed("library.row")) == 2


@pytest.mark.parametrize("page", ["instance", "invalidate"])
def test_items_that_fail_break_no_page(fragments: None, page: str) -> None:
    client = staff("view_fragmentcache", "invalidate_fragments")
    query = {"fragment": "library.broken", "arguments": "x", "scope": "one"}
    ask = client.get if page == "instance" else client.post
    answer = ask(address(page), query)
    assert answer.status_code == 200
    said = "The code of library.broken has failed: ZeroDivisionError"
    assert said in answer.context["form"].non_field_errors()[0]


def test_a_text_with_an_equals_sign_names_no_argument() -> None:
    assert arguments_of(['"a=b"', "http://x/?a=b", "n=1", 'v="x=y"']) == (
        ["a=b", "http://x/?a=b"],
        {"n": 1, "v": "x=y"},
    )
