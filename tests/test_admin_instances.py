"""The admin's page of an instance: what is explained of it, how it is shown, and to whom."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client

from fragcache import Fragment, get_fragment, invalidate
from tests.admin_pages import PERMISSIONS, address, text_of
from tests.admin_site import staff
from tests.fixtures import any_cache, warm
from tests.library.models import Artist

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_site")]
both = pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)


def look(page: str = "instance", **query: str) -> Any:
    return staff("view_fragmentcache").get(address(page, **query))


@both
class TestExplaining:
    def test_it_tells_who_wrote_the_entry_when_how_large_it_is_and_why(
        self, cache_alias: str, greeting: Fragment
    ) -> None:
        get_fragment("library.greeting", "Nina")
        answer = look(fragment="library.greeting", arguments="Nina")
        rows = dict(answer.context["explanation"].rows)
        assert rows["entry"] == "10 bytes, fresh"
        assert rows["last miss"] == "cold"
        assert rows["built"].endswith("seconds ago")
        said = text_of(answer)
        for label in ("arguments", "entry key", "written by", "render took"):
            assert f"{label} {html.escape(rows[label])}" in said

    def test_a_stale_one_says_why(self, cache_alias: str, greeting: Fragment) -> None:
        get_fragment("library.greeting", "Nina")
        invalidate("library.greeting", "Nina")
        said = text_of(look(fragment="library.greeting", arguments='name="Nina"'))
        assert "10 bytes, stale: invalidated" in said

    def test_by_axis_values_of_which_the_first_are_those_of_the_request(
        self, cache_alias: str, settings: Any, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        settings.LANGUAGES = [("en-us", "English"), ("de", "German")]
        warm(artist_card, axis_values={"language": ["de"]})
        query = {"fragment": "library.artist_card", "arguments": str(artists[0].pk)}
        answer = look(**query)
        assert "missing" in dict(answer.context["explanation"].rows)["entry"]
        assert '<option value="en-us" selected>' in answer.content.decode()
        german = look(**query, axis_language="de")
        assert "fresh" in dict(german.context["explanation"].rows)["entry"]


@any_cache
class TestMistakes:
    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ({"fragment": "library.greting"}, "Did you mean 'library.greeting'?"),
            ({"fragment": ""}, "This field is required."),
            ({"fragment": "library.greeting", "arguments": ""}, "misses 'name'"),
            ({"fragment": "library.greeting", "arguments": "nam=x"}, "Did you mean 'name'?"),
            ({"fragment": "library.artist_card", "arguments": "twelve"}, "is not a primary key"),
            ({"fragment": "library.artist_card", "arguments": "\0"}, "Null characters"),
            (
                {"fragment": "library.greeting", "arguments": "x", "axis_language": "tlh"},
                "tlh is not one of the available choices.",
            ),
            (
                {"fragment": "library.greeting", "arguments": "x", "using": "nowhere"},
                "nowhere is not one of the available choices.",
            ),
        ],
    )
    def test_each_is_told_beside_its_field(
        self,
        cache_alias: str,
        greeting: Fragment,
        artist_card: Fragment,
        declare: Any,
        query: dict[str, str],
        said: str,
    ) -> None:
        declare("x.html", name="library.far", using="locmem")(dict)
        answer = look(**query)
        assert answer.status_code == 200
        assert said in html.unescape(text_of(answer))
        assert look("preview", **query).status_code == 404

    def test_who_has_not_been_asked_for_arguments_is_not_told_that_they_miss(
        self, cache_alias: str, greeting: Fragment
    ) -> None:
        page = text_of(look(fragment="library.greeting"))
        assert "misses" not in page
        assert "What is stored" not in page

    def test_what_the_sites_own_code_raises_is_told(
        self, cache_alias: str, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": "x"})

        @declare("x.html", name="library.broken", version=lambda word: {}[word])
        def broken(word: str) -> dict[str, Any]:
            return {}

        said = html.unescape(text_of(look(fragment="library.broken", arguments="x")))
        assert "KeyError: 'x'" in said
        assert "library.broken cannot be explained." in caplog.text

    @pytest.mark.parametrize("key", ["9" * 30, "9" * 900, "-1"])
    def test_a_key_beyond_what_the_database_has_is_no_such_item(
        self, cache_alias: str, artist_card: Fragment, key: str
    ) -> None:
        said = text_of(look(fragment="library.artist_card", arguments=key))
        assert "none: no such item" in said

    def test_a_cache_that_is_down_is_told(
        self, cache_alias: str, settings: Any, greeting: Fragment
    ) -> None:
        settings.CACHES = {
            **settings.CACHES,
            "dead": {
                "BACKEND": "fragcache.backends.redis.RedisCache",
                "LOCATION": "redis://127.0.0.1:1/0",
            },
        }
        settings.FRAGCACHE = {"CACHE_ALIAS": "dead"}
        assert "ConnectionError" in text_of(look(fragment="library.greeting", arguments="x"))


@any_cache
class TestPreview:
    @pytest.fixture
    def evil(self, declare: Any, templates: Any) -> None:
        """A fragment of which somebody has made a script."""
        templates({"evil.html": "<script>alert('{{ name }}')</script>"})

        @declare("evil.html", name="library.evil")
        def evil(name: str) -> dict[str, Any]:
            return {"name": name}

        get_fragment("library.evil", "Nina")

    def test_it_is_in_a_frame_that_can_do_nothing(self, cache_alias: str, evil: None) -> None:
        query = {"fragment": "library.evil", "arguments": "Nina"}
        page = look(**query).content.decode()
        source = html.escape(address("preview", **query))
        assert f'<iframe sandbox title="Preview" width="100%" height="400" src="{source}">' in page
        assert "alert(" not in page

        answer = look("preview", **query)
        assert answer.content.decode().endswith("<script>alert('Nina')</script>")
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none';")
        assert "allow-" not in policy
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"

    def test_without_an_entry_there_is_none(self, cache_alias: str, greeting: Fragment) -> None:
        query = {"fragment": "library.greeting", "arguments": "Nina"}
        assert "<iframe" not in look(**query).content.decode()
        assert look("preview", **query).status_code == 404

    def test_to_look_renders_and_stores_nothing(
        self, cache_alias: str, greeting: Fragment, renders: list[Any], trips: Any
    ) -> None:
        look(fragment="library.greeting", arguments="Nina")
        look("preview", fragment="library.greeting", arguments="Nina")
        assert (renders, trips.writes) == ([], [])


@any_cache
class TestWho:
    @pytest.mark.parametrize("page", ["instance", "preview"])
    def test_staff_need_the_permission_to_view(
        self, cache_alias: str, greeting: Fragment, page: str
    ) -> None:
        get_fragment("library.greeting", "Nina")
        there = address(page, fragment="library.greeting", arguments="Nina")
        for permission in PERMISSIONS:
            expected = 200 if permission == "view_fragmentcache" else 403
            assert staff(permission).get(there).status_code == expected
        assert staff().get(there).status_code == 403
        assert Client().get(there).headers["Location"].startswith("/admin/login/")

    def test_who_may_invalidate_is_led_there(self, cache_alias: str, greeting: Fragment) -> None:
        query = {"fragment": "library.greeting", "arguments": "Nina"}
        link = html.escape(address("invalidate", **query))
        assert link not in look(**query).content.decode()
        client = staff("view_fragmentcache", "invalidate_fragments")
        page = client.get(address("instance", **query)).content.decode()
        assert link in page

    def test_what_is_found_by_its_version_alone_is_not_offered_to_be_invalidated(
        self, cache_alias: str, artist_card: Fragment
    ) -> None:
        artist = Artist.objects.create(name="Nina")
        client = staff("view_fragmentcache", "invalidate_fragments")
        query = {"fragment": "library.artist_card", "arguments": str(artist.pk)}
        answer = client.get(address("instance", **query))
        assert answer.context["explanation"] is not None
        assert answer.context["invalidate"] == ""
