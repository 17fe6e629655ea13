"""Promise X4: what is kept for all shows no visitor's own data unnoticed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.middleware.csrf import get_token
from django.template import Context, Library, RequestContext, Template, engines
from django.test import RequestFactory

from fragcache import Axis, Leak, get_fragment, render_fragment
from fragcache.events import Event
from tests.fixtures import happened
from tests.library.models import Artist

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("cache_alias", ["embedded"], indirect=True),
    pytest.mark.usefixtures("cache_alias"),
]
register = Library()
LOAD = "{% load fragcache %}"
#: What reads one visitor's own, with or without a trace in the template.
READING = {
    "user": "{{ user.username }}",
    "user in if": "{% if user.is_authenticated and user.username %}yes{% endif %}",
    "user in with": "{% with u=user %}{{ u.username }}{% endwith %}",
    "user in a filter's argument": "{{ ''|default:user.username }}",
    "user in an include": "{% include 'name.html' %}",
    "user in a tag": "{% load page_tags %}{% signed_in %}",
    "request.user": "{{ request.user.username }}",
    "request in a loop": "{% for key in request.GET %}{{ key }}{% endfor %}",
    "path": "{{ request.path }}",
    "host": "{{ request.get_host }}",
    "session": "{{ request.session.cart }}",
    "cookies": "{{ request.COOKIES.sessionid }}",
    "perms": "{% if perms.library.add_artist %}may{% endif %}",
    "messages": "{% for message in messages %}{{ message }}{% endfor %}",
    "debug": "{% if debug %}{{ sql_queries|length }}{% endif %}",
    "nonce of the request": "{{ request.csp_nonce }}",
    "session behind the context": "{{ touch_session }}",
    "csrf behind the context": "{{ touch_csrf }}",
}


class Host(Axis):
    name = "host"

    def current(self, request: Any) -> str:
        return "" if request is None else str(request.get_host())

    @contextmanager
    def activate(self, value: str) -> Iterator[None]:
        yield


@register.simple_tag(takes_context=True)
def signed_in(context: Context) -> str:
    return str(context["user"].username)


@pytest.fixture(autouse=True)
def parts(templates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    templates({"name.html": "{{ user.username }}"})
    libraries = engines["django"].engine.template_libraries
    monkeypatch.setitem(libraries, "page_tags", register)


@pytest.fixture
def visit(rf: RequestFactory) -> Any:
    """Return what a visitor of that name sees of a template."""

    def visit(source: str, name: str = "alice", path: str = "/here?a=1") -> str:
        request = request_of(rf, name, path)
        context = {
            "user": request.user,
            "perms": {"library": {"add_artist": True}},
            "messages": [f"Hello {name}"],
            "debug": True,
            "sql_queries": ["SELECT"],
            "touch_session": lambda: request.session.get("cart"),
            "touch_csrf": lambda: bool(get_token(request)),
            "request": request,
        }
        return Template(LOAD + source).render(RequestContext(request, context))

    return visit


def request_of(rf: RequestFactory, name: str, path: str = "/") -> Any:
    request: Any = rf.get(path, headers={"cookie": f"sessionid={name}"})
    request.user = User(pk=len(name), username=name)
    request.session = SessionStore()
    request.session["cart"] = f"cart of {name}"
    request.session.accessed = False
    request.csp_nonce = f"nonce of {name}"
    return request


@pytest.mark.parametrize("reading", READING.values(), ids=list(READING))
class TestBlocks:
    def test_an_error_in_tests_that_names_place_and_remedy(self, visit: Any, reading: str) -> None:
        with pytest.raises(
            Leak, match=r"line \d+, reads .* one visitor's.*{% nocache %}"
        ) as caught:
            visit("\n{% cache 60 menu %}" + reading + "{% endcache %}")
        assert "{% cache %} 'menu'" in str(caught.value)
        assert happened(Event.STORED) == 0

    def test_rendered_in_production_and_not_stored(
        self,
        visit: Any,
        reading: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        source = "{% cache 60 menu %}" + reading + "{% endcache %}"

        own = [visit(source, name) for name in ("alice", "bob", "alice")]

        assert own == [visit(reading, name) for name in ("alice", "bob", "alice")]
        assert happened(Event.STORED) == 0
        assert happened(Event.LEAK) == 3
        assert [r.levelno for r in caplog.records if "reads" in r.message] == [logging.WARNING]
        assert "alice" not in caplog.text

    def test_free_in_a_hole(self, visit: Any, reading: str) -> None:
        source = "{% cache 60 menu %}" + f"{{% nocache %}}{reading}{{% endnocache %}}"
        source += "{% endcache %}"
        found = [visit(source, name) for name in ("alice", "bob")]
        assert found == [visit(reading, name) for name in ("alice", "bob")]
        assert happened(Event.STORED) == 1

    def test_free_where_nothing_is_kept(self, visit: Any, reading: str) -> None:
        assert visit("{% cache 0 menu %}" + reading + "{% endcache %}") == visit(reading)


class TestWhatIsTold:
    @pytest.mark.parametrize(
        ("values", "reading"),
        [
            ("user.pk", "{{ user.username }}{{ request.user.username }}"),
            ("user", "{{ user.username }}{% if perms.library.add_artist %}may{% endif %}"),
            ("request.user.pk|default:0", "{{ user.username }}"),
            ("request.path", "{{ request.path }}"),
            ("request.GET", "{{ request.GET.a }}"),
            ("request.session.cart", "{{ request.session.cart }}"),
            ('vary_on="host"', "{{ request.get_host }}"),
        ],
    )
    def test_by_a_value_may_be_read(
        self, visit: Any, values: str, reading: str, settings: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "AXES": ["tests.test_leaks.Host"]}
        source = f"{{% cache 60 menu {values} %}}{reading}{{% endcache %}}"
        for name in ("alice", "bob", "alice"):
            assert visit(source, name) == visit(reading, name)
        assert happened(Event.STORED) >= 1

    @pytest.mark.parametrize(
        ("values", "reading"),
        [
            ("request.path", "{{ request.user.username }}"),
            ("user.pk", "{{ request.path }}"),
            ("user.pk", "{{ request.session.cart }}"),
            ("request.GET.a", "{{ request.COOKIES }}"),
            ("other.user", "{{ user.username }}"),
        ],
    )
    def test_and_nothing_else(self, visit: Any, values: str, reading: str) -> None:
        values = values.replace("other.user", "debug")
        with pytest.raises(Leak):
            visit(f"{{% cache 60 menu {values} %}}{reading}{{% endcache %}}")

    def test_a_row_that_is_called_user_is_no_visitor(self, rf: RequestFactory) -> None:
        source = LOAD + "{% cache 60 profile user.pk|add:0 %}{% endcache %}"
        source += "{% cache 60 other %}{{ user.name }}{% endcache %}"
        request = request_of(rf, "alice")
        context = RequestContext(request)
        context.push(request=request, user=Artist(pk=1, name="Nina"))
        assert Template(source).render(context) == "Nina"

    def test_what_a_body_sets_itself_is_its_own(self, visit: Any) -> None:
        source = "{% cache 60 menu %}{% with user='nobody' %}{{ user }}{% endwith %}{% endcache %}"
        assert visit(source) == "nobody"

    def test_inner_blocks_tell_nothing_for_the_outer_one(self, visit: Any) -> None:
        inner = "{% cache 60 inner user.pk %}{{ user.username }}{% endcache %}"
        with pytest.raises(Leak, match="'outer'"):
            visit("{% cache 60 outer %}" + inner + "{% endcache %}")
        assert visit("{% cache 60 outer user.pk %}" + inner + "{% endcache %}") == "alice"

    def test_the_session_keeps_that_it_was_read(self, rf: RequestFactory) -> None:
        request = request_of(rf, "alice")
        _ = request.session.get("cart")
        source = LOAD + "{% cache 60 menu %}menu{% endcache %}"
        Template(source).render(RequestContext(request, {"request": request}))
        assert request.session.accessed

    def test_a_page_without_a_request(self) -> None:
        source = LOAD + "{% cache 60 menu %}{{ x }}{% url 'admin:index' as there %}{% endcache %}"
        assert Template(source).render(Context({"x": 1})) == "1"


class TestFragments:
    @pytest.mark.parametrize("name", ["request.path", "user.username", "perms.x", "messages"])
    def test_have_none_of_it_and_say_so(
        self, declare: Any, templates: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        templates({"card.html": "{% if " + name + " == 1 %}{% endif %}card"})

        @declare("card.html", name="library.card")
        def card() -> dict[str, Any]:
            return {}

        with pytest.raises(Leak, match=r"library\.card: card\.html, line 1, reads"):
            get_fragment(card)
        assert happened(Event.STORED) == 0
        monkeypatch.setattr("fragcache.conf.is_testing", lambda: False)
        assert get_fragment(card) == "card"
        assert happened(Event.STORED) == 1

    def test_but_for_what_is_in_their_context(self, declare: Any, templates: Any) -> None:
        templates({"card.html": "{{ user.username }}"})

        @declare("card.html", name="library.card")
        def card(user: User) -> dict[str, Any]:
            return {"user": user}

        assert render_fragment(card, User(pk=1, username="alice")) == "alice"
