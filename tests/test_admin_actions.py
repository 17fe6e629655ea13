"""The admin's actions: asked for on a page, done by POST, by whoever may, told and logged."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.cache import caches
from django.db import connection, connections
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import translation

from fragcache import Fragment, get_fragment, registry
from fragcache.models import WarmRun
from fragcache.store import store
from fragcache.warming.locks import WarmingLock
from tests.admin_pages import PERMISSIONS, address, text_of
from tests.admin_site import staff
from tests.block_pages import LOAD
from tests.enqueued import empty, queue  # noqa: F401
from tests.fixtures import RoundTrips, any_cache, in_request
from tests.library.models import Artist

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_site")]
both = pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
NEEDS = {
    "warm": "warm_fragments",
    "invalidate": "invalidate_fragments",
    "clear": "clear_fragments",
}


@pytest.fixture
def only(greeting: Fragment) -> Fragment:
    """The one fragment that is declared."""
    registry._fragments.clear()
    registry.add(greeting)
    return greeting


def post(page: str, client: Client | None = None, **data: str) -> Any:
    return (client or staff(NEEDS[page])).post(address(page), data)


def told(answer: Any) -> str:
    """Return what the messages after an action say."""
    assert answer.status_code == 302, text_of(answer)
    return " ".join(map(str, get_messages(answer.wsgi_request)))


def logged() -> list[tuple[str, str]]:
    from django.contrib.admin.models import LogEntry

    entries = LogEntry.objects.order_by("pk")
    return [(entry.object_repr, entry.get_change_message()) for entry in entries]


def shows(name: str, text: str, renders: list[Any]) -> bool:
    """Whether an instance is shown without being rendered."""
    before = len(renders)
    with in_request():
        get_fragment(name, text)
    return len(renders) == before


@both
class TestInvalidating:
    def test_one_instance_by_its_arguments(
        self, cache_alias: str, only: Fragment, renders: list[Any]
    ) -> None:
        for name in ("Nina", "Ella"):
            get_fragment("library.greeting", name)

        answer = post("invalidate", fragment="library.greeting", scope="one", arguments="name=Nina")

        assert told(answer) == "Invalidated: library.greeting name=Nina."
        assert logged() == [("library.greeting name=Nina", "Invalidated.")]
        assert shows("library.greeting", "Ella", renders)
        assert not shows("library.greeting", "Nina", renders)

    def test_all_instances(self, cache_alias: str, only: Fragment, renders: list[Any]) -> None:
        for name in ("Nina", "Ella"):
            get_fragment("library.greeting", name)

        answer = post("invalidate", fragment="library.greeting", scope="all")

        assert told(answer) == "All instances of library.greeting are invalidated."
        assert logged() == [("library.greeting", "Invalidated all instances.")]
        assert not shows("library.greeting", "Nina", renders)
        assert not shows("library.greeting", "Ella", renders)

    def test_everything_of_fragcache_and_nothing_else(
        self, cache_alias: str, only: Fragment, renders: list[Any]
    ) -> None:
        caches[cache_alias].set("another-site", b"1")
        get_fragment("library.greeting", "Nina")

        assert told(post("clear")).startswith("Invalidated: 1 fragment and ")
        assert [entry[0] for entry in logged()] == ["all fragments"]
        assert not shows("library.greeting", "Nina", renders)
        assert caches[cache_alias].get("another-site") == b"1"

    def test_a_repeated_post_does_no_harm(self, cache_alias: str, only: Fragment) -> None:
        client = staff("invalidate_fragments")
        for _ in range(2):
            told(post("invalidate", client, fragment="library.greeting", scope="all"))
        assert get_fragment("library.greeting", "Nina") == "Hello Nina"


@both
def test_clearing_invalidates_blocks_of_template_files(
    cache_alias: str, settings: Any, tmp_path: Path
) -> None:
    engine, *others = copy.deepcopy(settings.TEMPLATES)
    settings.TEMPLATES = [engine | {"DIRS": [tmp_path, *engine["DIRS"]]}, *others]
    source = LOAD + "{% cache 600 cleared %}{{ n }}{% endcache %}"
    tmp_path.joinpath("cleared.html").write_text(source)
    assert render_to_string("cleared.html", {"n": 1}) == "1"
    assert render_to_string("cleared.html", {"n": 2}) == "1"

    post("clear")

    assert render_to_string("cleared.html", {"n": 3}) == "3"


@any_cache
def test_clearing_takes_two_round_trips(
    cache_alias: str, settings: Any, tmp_path: Path, trips: RoundTrips
) -> None:
    from fragcache.admin import clearing  # late, as the admin is not installed before

    engine, *others = copy.deepcopy(settings.TEMPLATES)
    settings.TEMPLATES = [engine | {"DIRS": [tmp_path, *engine["DIRS"]]}, *others]
    tmp_path.joinpath("a.html").write_text(LOAD + "{% cache 600 cleared %}x{% endcache %}")
    _fragments, blocks = clearing.clear(purge=False)
    assert blocks >= 1
    assert trips.commands == ["get_many", "advance_many"]


@any_cache
def test_it_is_warmed_where_requests_are_transactions(
    cache_alias: str, monkeypatch: pytest.MonkeyPatch, words: Fragment
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert "2 stored" in told(post("warm", fragment="library.word"))


@any_cache
class TestMistakes:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ({"fragment": "library.greting", "scope": "all"}, "library.greeting"),
            ({"fragment": "library.greeting", "scope": "one"}, "misses 'name'"),
            (
                {"fragment": "library.greeting", "scope": "one", "arguments": "a b"},
                "takes 1 argument, not 2",
            ),
            (
                {"fragment": "library.greeting", "scope": "all", "arguments": "Nina"},
                "All instances are meant: leave this empty.",
            ),
            (
                {"fragment": "library.greeting", "scope": "one", "arguments": "x", "purge": "on"},
                "Only for all instances.",
            ),
            ({"fragment": "library.greeting"}, "This field is required."),
        ],
    )
    def test_they_are_told_and_nothing_is_done(
        self, cache_alias: str, only: Fragment, data: dict[str, str], said: str
    ) -> None:
        answer = post("invalidate", **data)
        assert answer.status_code == 200
        assert said in answer.content.decode().replace("&#x27;", "'")
        assert "Nothing was done." in text_of(answer)
        assert logged() == []

    def test_a_version_has_to_be_moved_instead(
        self, cache_alias: str, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        data = {"fragment": "library.artist_card", "scope": "one"}
        answer = post("invalidate", **data, arguments=str(artists[0].pk))
        assert "move the mtime of the object" in text_of(answer)

    def test_a_cache_that_is_down_is_told(
        self, cache_alias: str, settings: Any, only: Fragment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where requests are transactions, at whose end it would be too late."""
        monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
        settings.CACHES = {
            "default": {
                "BACKEND": "fragcache.backends.redis.RedisCache",
                "LOCATION": "redis://127.0.0.1:1/0",
            }
        }
        settings.FRAGCACHE = {}
        for page, data in {
            "invalidate": {"fragment": "library.greeting", "scope": "all"},
            "clear": {},
        }.items():
            answer = post(page, **data)
            assert "is not invalidated, after 3 attempts" in text_of(answer)
        assert logged() == []

    @pytest.mark.parametrize("page", NEEDS)
    def test_a_site_that_only_reads_offers_nothing(
        self, cache_alias: str, settings: Any, words: Fragment, page: str
    ) -> None:
        settings.FRAGCACHE = {"CACHE_ALIAS": cache_alias, "READ_ONLY": True}
        client = staff(NEEDS[page])
        assert "This site only reads" in text_of(client.get(address(page)))
        answer = client.post(address(page), {"fragment": "library.word", "scope": "all"})
        assert answer.status_code == 200
        assert logged() == []


@pytest.fixture
def words(declare: Any, templates: Any, renders: list[Any]) -> Fragment:
    """A fragment of two words, without the axis of languages, that shows which one is active."""
    templates({"word.html": "{{ word }} {{ language }}"})

    @declare(
        "word.html",
        name="library.word",
        items=["a", "b"],
        version=lambda word: 1,
        vary_on=["-language", "-time_zone"],
    )
    def word(word: str) -> dict[str, Any]:
        renders.append(word)
        return {"word": word, "language": translation.get_language()}

    return word  # type: ignore[no-any-return]


class TestWarming:
    @both
    def test_without_a_queue_it_is_done_within_the_request(
        self, cache_alias: str, words: Fragment, renders: list[Any]
    ) -> None:
        said = "Of library.word: 2 planned, 0 fresh, 2 stored."
        assert told(post("warm", fragment="library.word")) == said
        assert logged() == [("library.word", f"Warmed. {said}")]
        run = WarmRun.objects.get()
        assert (run.status, run.options["labels"]) == ("ok", ["library.word"])
        assert shows("library.word", "a", renders)

        again = told(post("warm", fragment="library.word"))
        assert again == "Of library.word: 2 planned, 2 fresh, 0 stored."
        assert len(renders) == 2

    @any_cache
    def test_it_is_not_done_in_the_language_of_who_asks(
        self, cache_alias: str, words: Fragment
    ) -> None:
        with translation.override("de"):
            post("warm", fragment="library.word")
        assert get_fragment("library.word", "a") == "a en-us"

    @any_cache
    def test_who_asks_is_told_in_their_language(
        self, cache_alias: str, words: Fragment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spoken: list[str | None] = []

        def gettext(text: str) -> str:
            spoken.append(translation.get_language())
            return text

        monkeypatch.setattr("fragcache.admin.warming._", gettext)
        with translation.override("de"):
            post("warm", fragment="library.word")
        assert spoken == ["de"]

    @any_cache
    def test_it_ends_in_time_and_says_what_is_left(
        self, cache_alias: str, words: Fragment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fragcache.admin.warming.SECONDS", 0.0)
        said = told(post("warm", fragment="library.word"))
        assert "The 0 seconds are used up" in said
        assert "`manage.py warm_fragments library.word` warms the rest." in said
        assert WarmRun.objects.get().status == "incomplete"

    @any_cache
    def test_what_fails_is_told(self, cache_alias: str, declare: Any) -> None:
        @declare("no.html", name="library.broken", items=["a"], version=lambda word: 1)
        def broken(word: str) -> dict[str, Any]:
            raise ValueError(word)

        assert "1 failed" in told(post("warm", fragment="library.broken"))

    @any_cache
    @pytest.mark.usefixtures("queue")
    def test_a_queue_gets_its_batches(
        self, cache_alias: str, words: Fragment, renders: list[Any]
    ) -> None:
        said = "1 batch of library.word is enqueued for the workers."
        assert told(post("warm", fragment="library.word")) == said
        assert renders == []
        assert WarmRun.objects.get().status == "running"

        answer = post("warm", fragment="library.word")
        assert "Another run is going on: 0 of 1 batches are done." in text_of(answer)
        assert empty() == ["ok"]
        assert renders == ["a", "b"]

    @any_cache
    @pytest.mark.usefixtures("queue")
    def test_without_a_table_for_batches_it_says_so(
        self, cache_alias: str, words: Fragment
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE fragcache_warmbatch RENAME TO elsewhere")
        said = text_of(post("warm", fragment="library.word"))
        assert "Batches for workers are kept in the database, but: " in said
        assert "`manage.py migrate fragcache` makes it." in said
        assert logged() == []

    @any_cache
    def test_another_run_is_not_disturbed(self, cache_alias: str, words: Fragment) -> None:
        with WarmingLock(store()):
            answer = post("warm", fragment="library.word")
        assert "Another run holds the lock" in text_of(answer)
        assert (logged(), WarmRun.objects.count()) == ([], 0)

    @any_cache
    def test_what_has_no_items_cannot_be_warmed(self, cache_alias: str, only: Fragment) -> None:
        answer = post("warm", fragment="library.greeting")
        assert "library.greeting cannot be warmed: it has no items" in text_of(answer)


@any_cache
class TestWho:
    DATA = {"fragment": "library.word", "scope": "all"}

    @pytest.mark.parametrize("page", NEEDS)
    def test_each_action_has_a_permission_of_its_own(
        self, cache_alias: str, words: Fragment, page: str
    ) -> None:
        for permission in PERMISSIONS:
            client = staff(permission)
            expected = (200, 302) if permission == NEEDS[page] else (403, 403)
            asked, done = client.get(address(page)), client.post(address(page), self.DATA)
            assert (asked.status_code, done.status_code) == expected, permission
        assert staff().post(address(page), self.DATA).status_code == 403
        answer = Client().post(address(page), self.DATA)
        assert answer.headers["Location"].startswith("/admin/login/")
        assert len(logged()) == 1

    @pytest.mark.parametrize("page", NEEDS)
    def test_to_look_changes_nothing(
        self, cache_alias: str, words: Fragment, renders: list[Any], page: str
    ) -> None:
        get_fragment("library.word", "a")
        answer = staff(NEEDS[page]).get(address(page, **self.DATA))
        assert answer.status_code == 200
        assert shows("library.word", "a", renders)
        assert (logged(), WarmRun.objects.count()) == ([], 0)
        if page != "clear":
            assert 'value="library.word"' in answer.content.decode()

    @pytest.mark.parametrize("page", NEEDS)
    def test_another_sites_form_is_refused(
        self, cache_alias: str, words: Fragment, page: str
    ) -> None:
        client = staff(NEEDS[page], enforce_csrf_checks=True)
        assert client.post(address(page), self.DATA).status_code == 403
        assert logged() == []

    def test_a_fragments_page_leads_to_what_one_may_do(
        self, cache_alias: str, words: Fragment
    ) -> None:
        page = reverse("admin:fragcache_fragment", args=["library.word"])
        for more, links in (
            ((), {"instance"}),
            (("warm_fragments",), {"instance", "warm"}),
            (("invalidate_fragments",), {"instance", "invalidate"}),
        ):
            shown = staff("view_fragmentcache", *more).get(page).content.decode()
            ways = ("instance", "warm", "invalidate")
            found = {way for way in ways if f"{address(way)}?fragment=library.word" in shown}
            assert found == links

    def test_what_clears_stands_last_among_the_links(
        self, cache_alias: str, words: Fragment
    ) -> None:
        permissions = ("view_fragmentcache", "view_warmrun", "clear_fragments")
        shown = staff(*permissions).get(address("instance"))
        labels = [str(link.label) for link in shown.context["links"]]
        assert labels == ["Overview", "Instance", "Servers", "Warm runs", "Clear all"]

    def test_who_may_look_comes_back_to_the_overview_and_others_to_the_index(
        self, cache_alias: str, words: Fragment
    ) -> None:
        both = staff("clear_fragments", "view_fragmentcache")
        assert post("clear", both).headers["Location"] == "/admin/fragcache/fragmentcache/"
        assert post("clear").headers["Location"] == "/admin/"
