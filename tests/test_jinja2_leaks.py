"""What is kept of a block of Jinja2 shows no visitor's own data unnoticed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.middleware.csrf import get_token
from django.test import RequestFactory

from fragcache import Leak
from fragcache.events import Event
from tests.fixtures import happened
from tests.jinja2_pages import Jinja, page
from tests.library.models import Artist

pytest.importorskip("jinja2")

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded"], indirect=True),
    pytest.mark.usefixtures("cache_alias", "jinja", "parts"),
]
READING = {
    "user": "{{ user.username }}",
    "user in if": "{% if user.is_authenticated and user.username %}yes{% endif %}",
    "user in set": "{% set u = user %}{{ u.username }}",
    "user in a filter's argument": "{{ ''|default(user.username, true) }}",
    "user in an include": "{% include 'name.html' %}",
    "user in a macro": "{{ greet() }}",
    "user in a call": "{{ signed_in() }}",
    "user of the request": "{{ request.user.username }}",
    "path": "{{ request.path }}",
    "path in an include": "{% include 'path.html' %}",
    "query": "{{ request.GET.a }}",
    "host": "{{ request.get_host() }}",
    "session": "{{ request.session.cart }}",
    "cookies": "{{ request.COOKIES.sessionid }}",
    "perms": "{% if perms.library.add_artist %}may{% endif %}",
    "messages": "{% for message in messages %}{{ message }}{% endfor %}",
    "debug": "{% if debug %}{{ sql_queries|length }}{% endif %}",
    "session behind the context": "{{ touch_session() }}",
    "csrf behind the context": "{{ touch_csrf() }}",
}
#: What a page does before it shows a block: names are then looked up before its body is rendered.
BEFORE = ["", "{% if user and request and perms and messages and debug %}{% endif %}"]
MACRO = "{% macro greet() %}{{ user.username }}{% endmacro %}"


@pytest.fixture
def parts(jinja: Jinja) -> None:
    jinja({"name.html": "{{ user.username }}", "path.html": "{{ request.path }}"})


def visit(source: str, name: str = "alice", **variables: Any) -> str:
    """Return what a visitor of that name sees of a template."""
    from jinja2 import pass_context

    request: Any = RequestFactory().get("/here?a=1", headers={"cookie": f"sessionid={name}"})
    request.user = User(pk=len(name), username=name)
    request.session = SessionStore()
    request.session["cart"] = f"cart of {name}"
    request.session.accessed = False
    context = {
        "user": request.user,
        "perms": {"library": {"add_artist": True}},
        "messages": [f"Hello {name}"],
        "debug": True,
        "sql_queries": ["SELECT"],
        "signed_in": pass_context(lambda context: context["user"].username),
        "touch_session": lambda: request.session.get("cart"),
        "touch_csrf": lambda: bool(get_token(request)),
        "set_cart": lambda: setattr(request, "cart", 1) or "",
        **variables,
    }
    return page(MACRO + source, request, **context)


@pytest.mark.parametrize(
    ("reading", "before"),
    [
        pytest.param(reading, before, id=f"{name}, looked up before" if before else name)
        for name, reading in READING.items()
        for before in BEFORE
        # docs/jinja2.md: a macro has what its template looked up at the beginning.
        if not (before and name == "user in a macro")
    ],
)
class TestBlocks:
    def test_an_error_in_tests_that_names_the_remedy(self, reading: str, before: str) -> None:
        with pytest.raises(Leak, match=r"'menu': .*reads .* one visitor's.*{% nocache %}"):
            visit(before + "{% cache 60, menu %}" + reading + "{% endcache %}")
        assert happened(Event.STORED) == 0

    def test_rendered_in_production_and_not_stored(
        self, reading: str, before: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        source = before + "{% cache 60, menu %}" + reading + "{% endcache %}"

        own = [visit(source, name) for name in ("alice", "bob", "alice")]

        assert own == [visit(reading, name) for name in ("alice", "bob", "alice")]
        assert happened(Event.STORED) == 0
        assert happened(Event.LEAK) == 3

    def test_free_in_a_hole(self, reading: str, before: str) -> None:
        source = before + "{% cache 60, menu %}" + f"{{% nocache %}}{reading}{{% endnocache %}}"
        source += "{% endcache %}"
        found = [visit(source, name) for name in ("alice", "bob")]
        assert found == [visit(reading, name) for name in ("alice", "bob")]
        assert happened(Event.STORED) == 1

    def test_free_where_nothing_is_kept(self, reading: str, before: str) -> None:
        source = before + "{% cache 0, menu %}" + reading + "{% endcache %}"
        assert visit(source) == visit(reading)


class TestWhatIsTold:
    @pytest.mark.parametrize(
        ("values", "reading"),
        [
            ("user.pk", "{{ user.username }}{{ request.user.username }}"),
            ("user", "{{ user.username }}{% if perms.library.add_artist %}may{% endif %}"),
            ("request.user.pk|default(0)", "{{ user.username }}"),
            ("user.pk if user.is_authenticated else 0", "{{ user.username }}"),
            ("user['pk'] or 0", "{{ user.username }}"),
            ("request.path", "{{ request.path }}"),
            ("request.GET", "{{ request.GET.a }}"),
            ("request.session.cart", "{{ request.session.cart }}"),
            ("vary_on=['host', 'scheme']", "{{ request.get_host() }}{{ request.scheme }}"),
            ("vary_on=['host', 'scheme']", "{{ request.build_absolute_uri('/x') }}"),
        ],
    )
    def test_by_a_value_may_be_read(self, values: str, reading: str) -> None:
        source = f"{{% cache 60, menu, {values} %}}{reading}{{% endcache %}}"
        for name in ("alice", "bob", "alice"):
            assert visit(source, name) == visit(reading, name)
        assert happened(Event.STORED) >= 1

    @pytest.mark.parametrize(
        ("values", "reading"),
        [
            ("request.path", "{{ request.user.username }}"),
            ("user.pk", "{{ request.path }}"),
            ("user.pk > 5", "{{ user.username }}"),
            ("request.GET.a", "{{ request.COOKIES }}"),
            ("vary_on=['host']", "{{ request.build_absolute_uri('/x') }}"),
        ],
    )
    def test_and_nothing_else(self, values: str, reading: str) -> None:
        with pytest.raises(Leak):
            visit(f"{{% cache 60, menu, {values} %}}{reading}{{% endcache %}}")

    @pytest.mark.parametrize("before", BEFORE, ids=["first", "looked up before"])
    def test_what_has_a_visitor_s_name_and_is_none_is_free(self, before: str) -> None:
        block = "{% cache 60, card, n %}{{ user.name }}{% endcache %}"
        loop = f"{{% for user in rows %}}{{% set n = loop.index %}}{block}{{% endfor %}}"
        rows = [Artist(pk=1, name="Nina"), Artist(pk=2, name="Ella")]
        assert visit(before + loop, rows=rows) == "NinaElla"
        own = "{% cache 60, own %}{% set user = 'nobody' %}{{ user }}{% endcache %}"
        assert visit(before + own) == "nobody"
        row = "{% cache 60, row %}{{ user.name }}{% endcache %}"
        assert visit(row, user=rows[0]) == "Nina"

    def test_inner_blocks_tell_nothing_for_the_outer_one(self) -> None:
        inner = "{% cache 60, inner, user.pk %}{{ user.username }}{% endcache %}"
        with pytest.raises(Leak, match="'outer'"):
            visit("{% cache 60, outer %}" + inner + "{% endcache %}")
        assert visit("{% cache 60, outer, user.pk %}" + inner + "{% endcache %}") == "alice"

    def test_what_a_body_writes_to_the_request_would_be_lost(self) -> None:
        with pytest.raises(Leak, match=r"writes request\.cart, which is lost"):
            visit("{% cache 60, menu %}{{ set_cart() }}{% endcache %}")

    def test_after_the_block_all_is_as_before(self) -> None:
        source = (
            "{% cache 60, menu %}menu{% endcache %}{% include 'name.html' %}{{ user.username }}"
        )
        assert visit(source) == "menualicealice"
