"""`manage.py fragments list --blocks`, and `invalidate`: what a shell can do to fragments."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.template import engines
from django.template.loader import render_to_string

from fragcache import Fragment, get_fragment, get_fragments
from fragcache.events import Event
from tests.block_pages import LOAD, Counter
from tests.fixtures import Clock, happened, in_request, on_target, warm
from tests.library.models import Artist
from tests.processes import free_port

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]
BASE = """{% if user %}
{% cache 600 sidebar %}{{ n }}{% endcache %}{% endif %}
{% cache 60 cart user.pk "x" version=state using="locmem" %}{{ n }}{% endcache %}"""


def fragments(*args: str) -> str:
    out = io.StringIO()
    call_command("fragments", *args, stdout=out)
    return out.getvalue()


def blocks() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(fragments("list", "--blocks", "--json"))["blocks"]
    return found


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Any:
    """Write the templates of a site that has no others."""
    caches["locmem"].clear()
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]

    def write(**sources: str) -> None:
        for name, source in sources.items():
            tmp_path.joinpath(f"{name}.html").write_text(LOAD + source)
        engines._engines.clear()  # type: ignore[attr-defined]

    write(base=BASE, shop="{% cache 600 sidebar %}shop{% endcache %}", none="no block")
    return write


def shown(template: str, **context: Any) -> str:
    with in_request():
        return render_to_string(template, context).strip()


class TestList:
    def test_tells_what_is_written_of_each_block(self, files: Any) -> None:
        assert blocks() == [
            {
                "name": "cart",
                "template": "base.html",
                "line": 3,
                "timeout": "60",
                "values": ["user.pk", '"x"'],
                "options": ["version=state", 'using="locmem"'],
                "using": "locmem",
                "since": None,
            },
            {
                "name": "sidebar",
                "template": "base.html",
                "line": 2,
                "timeout": "600",
                "values": [],
                "options": [],
                "using": None,
                "since": None,
            },
            {**blocks()[1], "template": "shop.html", "line": 1},
        ]

    def test_one_that_was_rendered_says_since_when(self, files: Any, clock: Clock) -> None:
        shown("shop.html")
        first = blocks()
        assert [block["since"] is None for block in first] == [True, False, False]
        assert first[1]["since"].startswith("20")
        clock.step(100)
        shown("shop.html")
        assert blocks() == first
        fragments("invalidate", "--block", "sidebar", "--all")
        assert blocks()[1]["since"] > first[1]["since"]

    def test_a_table_has_a_line_for_each(self, files: Any) -> None:
        heading, *lines = fragments("list", "--blocks").splitlines()
        assert heading.split() == [
            *("name", "template", "line", "timeout", "values", "options", "since")
        ]
        assert [line.split()[:4] for line in lines] == [
            ["cart", "base.html", "3", "60"],
            ["sidebar", "base.html", "2", "600"],
            ["sidebar", "shop.html", "1", "600"],
        ]

    def test_one_in_a_block_of_a_template_that_another_fills_is_found(self, files: Any) -> None:
        source = (
            "{% block a %}{% with x=1 %}{% cache 5 in %}{% endcache %}{% endwith %}{% endblock %}"
        )
        files(base=source, shop="")
        assert [(block["name"], block["template"]) for block in blocks()] == [("in", "base.html")]

    def test_a_cache_that_is_down_is_no_obstacle(self, files: Any, settings: Any) -> None:
        down = {
            "BACKEND": "fragcache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
        }
        settings.CACHES = {**settings.CACHES, "down": down}
        settings.FRAGCACHE = {"CACHE_ALIAS": "down"}
        assert [block["since"] for block in blocks()] == [None, None, None]

    def test_a_site_without_blocks_is_told_so(
        self, files: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files(base="", shop="")
        fragments("list", "--blocks")
        assert capsys.readouterr().err == "No template has a {% cache %} block of fragcache.\n"


class TestInvalidateBlocks:
    def test_those_that_vary_on_these_values(self, files: Any, n: Counter) -> None:
        files(base="{% cache 600 cart pk name %}{{ n }}{% endcache %}")

        def carts() -> list[str]:
            values = [(1, "a"), (2, "a"), (1, "b")]
            return [shown("base.html", n=n, pk=pk, name=name) for pk, name in values]

        assert carts() == ["1", "2", "3"]
        said = fragments("invalidate", "--block", "cart", "1", "a")
        assert said == "Invalidated: the blocks 'cart' that vary on 1, 'a'.\n"
        assert carts() == ["4", "2", "3"]

    def test_those_that_vary_on_nothing_or_all(self, files: Any, n: Counter) -> None:
        files(base="{% cache 600 cart pk %}{{ n }}{% endcache %}")
        files(shop="{% cache 600 cart %}{{ n }}{% endcache %}")

        def pages() -> list[str]:
            return [shown("base.html", n=n, pk=1), shown("shop.html", n=n)]

        assert pages() == ["1", "2"]
        assert fragments("invalidate", "--block", "cart") == (
            "Invalidated: the blocks 'cart' that vary on nothing.\n"
        )
        assert pages() == ["1", "3"]
        assert fragments("invalidate", "cart", "--block", "--all") == (
            "Invalidated: all blocks 'cart'.\n"
        )
        assert pages() == ["4", "5"]

    def test_where_the_template_says_that_they_are(self, files: Any, n: Counter) -> None:
        files(base='{% cache 600 cart using="locmem" %}{{ n }}{% endcache %}')
        assert [shown("base.html", n=n), shown("base.html", n=n)] == ["1", "1"]
        fragments("invalidate", "--block", "cart")
        assert shown("base.html", n=n) == "2"

    def test_one_that_nobody_has_is_an_error_with_the_nearest(self, files: Any) -> None:
        with pytest.raises(
            CommandError, match=r"No template has .* 'sidebra', .* Did you mean 'sidebar'"
        ) as raised:
            fragments("invalidate", "--block", "sidebra", "--all")
        assert raised.value.returncode == 2

    def test_one_that_stands_in_no_file_is_known_once_it_was_rendered(
        self, files: Any, n: Counter
    ) -> None:
        page = engines["django"].from_string(LOAD + "{% cache 60 menu %}{{ n }}{% endcache %}")
        assert page.render({"n": n}) == "1"
        fragments("invalidate", "--block", "menu")
        assert page.render({"n": n}) == "2"


class TestInvalidateFragments:
    def test_one_instance(self, greeting: Fragment, renders: list[str]) -> None:
        names = ["you", "me"]
        get_fragments(greeting, names)
        assert fragments("invalidate", "library.greeting", "you") == (
            "Invalidated: library.greeting you.\n"
        )
        get_fragments(greeting, names)
        assert renders == ["you", "me", "you"]

    def test_all_of_them(
        self, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        warm(artist_card)
        assert fragments("invalidate", "library.artist_card", "--all") == (
            "Invalidated: all of library.artist_card.\n"
        )
        with on_target("library.artist_card"):
            assert get_fragment("library.artist_card", artists[0].pk) == "<b>Nina</b>"
        assert happened(Event.STALE_SERVED) == 1
        fragments("invalidate", "library.artist_card", "--all", "--purge", "-v0")
        with on_target("library.artist_card"):
            assert get_fragment("library.artist_card", artists[0].pk, default=None) is None

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["library.greetin", "--all"], "Did you mean 'library.greeting'"),
            (["library.greeting"], "name"),
            (["library.greeting", "you", "--all"], "--all is all of 'library.greeting', and 'you'"),
            (["library.greeting", "you", "--purge"], "--purge is for all instances"),
            (["--block", "menu", "--all", "--purge"], "--purge is for all instances"),
            (["library.greeting", "you", "--using", "memcache"], "Did you mean 'memcached'"),
        ],
    )
    def test_mistakes_are_told_and_invalidate_nothing(
        self, greeting: Fragment, renders: list[str], args: list[str], message: str
    ) -> None:
        get_fragment(greeting, "you")
        with pytest.raises(CommandError, match=message) as raised:
            fragments("invalidate", *args)
        assert raised.value.returncode == 2
        get_fragment(greeting, "you")
        assert renders == ["you"]

    def test_75_where_the_cache_is_down(self, greeting: Fragment, settings: Any) -> None:
        down = {
            "BACKEND": "fragcache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
        }
        settings.CACHES = {**settings.CACHES, "down": down}
        with pytest.raises(CommandError, match="The cache is unavailable") as raised:
            fragments("invalidate", "library.greeting", "you", "--using", "down")
        assert raised.value.returncode == 75
