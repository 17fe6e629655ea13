"""The HTTP interface of a source: who may ask, what is answered, and how often is built."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import caches
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from fragcache import Fragment, fetch_context, fragment, invalidate_all, views
from fragcache.contexts import answering, credentials
from fragcache.contexts.credentials import signed
from fragcache.store import store
from tests.fixtures import Clock, any_cache
from tests.library.models import Artist

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("fragments/", include("fragcache.urls"))]

URL = "/fragments/context/"
KEY = "the-key-of-the-target"
NAME = "library.card"
PLAIN = "library.plain"
SECRET = "what-only-the-context-holds"


@pytest.fixture(autouse=True)
def keys(settings: Any, cache_alias: str) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "API_KEYS": [KEY]}
    settings.DEBUG = True  # which must not tell more


@pytest.fixture
def cards(renders: list[Any]) -> Fragment:
    @fragment(
        name=NAME,
        items=Artist.objects.all,
        version="updated_at",
        publish="context",
        choices={"variant": ["row", "full"]},
    )
    def card(artist: Artist, variant: str = "row") -> dict[str, Any]:
        renders.append((artist.pk, variant))
        return {"artist": artist, "variant": variant, "secret": SECRET}

    @fragment(name="library.newest", items=Artist.objects.all, publish="context")
    def newest(artist: Artist | None = None) -> dict[str, Any]:
        return {"artist": artist}

    @fragment(name="library.html", template_name="x.html", items=Artist.objects.all)
    def html(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    return card


def post(document: Any, *, key: str = KEY, path: str = URL, **extra: Any) -> HttpResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {"Authorization": signed(key, "POST", path, body), **extra}
    return Client(raise_request_exception=False).post(
        URL, body, content_type="application/json", headers=headers
    )


@any_cache
class TestAnswers:
    def test_with_the_key_of_what_is_published(
        self, cards: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        asked = {"fragment": NAME, "args": [artists[0].pk], "kwargs": {"variant": "full"}}
        response = post(asked)
        assert response.status_code == 200
        assert response["Cache-Control"] == "no-store"
        key = response.json()["key"]
        assert fetch_context(key)["artist"].name == "Nina"
        assert post(asked).json() == {"key": key}
        assert renders == [(artists[0].pk, "full")]

    def test_anew_what_no_target_would_believe(
        self, cards: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        asked = {"fragment": NAME, "args": [artists[0].pk]}
        key = post(asked).json()["key"]
        caches[store().alias].set(key, b"poison")
        assert fetch_context(post(asked).json()["key"])["artist"].name == "Nina"
        assert len(renders) == 2

    def test_for_the_axis_values_that_are_asked_for(
        self, cards: Fragment, artists: list[Artist], settings: Any
    ) -> None:
        settings.LANGUAGES = [("en-us", "English"), ("de", "German")]
        asked = {"fragment": NAME, "args": [artists[0].pk], "axes": {"language": "de"}}
        assert "language=s2:de" in post(asked).json()["key"]
        asked["axes"] = {"language": "xx"}
        response = post(asked)
        assert response.status_code == 422
        assert response.json()["fields"] == {"axes.language": "It is no value of this axis."}

    def test_anew_what_was_invalidated(self, renders: list[Any]) -> None:
        @fragment(name=PLAIN, publish="context")
        def plain() -> dict[str, Any]:
            renders.append(None)
            return {}

        keys = {post({"fragment": PLAIN}).json()["key"] for _time in range(2)}
        invalidate_all(plain)
        keys |= {post({"fragment": PLAIN}).json()["key"] for _time in range(2)}
        assert (len(keys), len(renders)) == (2, 2)


@any_cache
class TestManyQuestions:
    def test_have_as_many_answers_in_their_order(
        self, cards: Fragment, artists: list[Artist], renders: list[Any]
    ) -> None:
        good = [{"fragment": NAME, "args": [artist.pk]} for artist in artists]
        bad: list[Any] = [{"fragment": NAME, "args": [0]}, {"fragment": "none"}, 5]

        response = post({"questions": [good[0], *bad, good[1], good[0]]})

        answers = response.json()["answers"]
        assert response.status_code == 200
        assert [answer.get("status", 200) for answer in answers] == [200, 404, 404, 400, 200, 200]
        assert answers[0] == answers[5] != answers[4]
        assert [one["artist"].name for one in map(fetch_context, keys_of(answers))] == [
            *("Nina", "Ella", "Nina"),
        ]
        assert len(renders) == 2

    def test_that_take_too_long_are_told_to_come_again(
        self, cards: Fragment, artists: list[Artist], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(views, "SECONDS", 0.0)
        question = {"fragment": NAME, "args": [artists[0].pk]}

        [answer] = post({"questions": [question]}).json()["answers"]

        assert (answer["status"], answer["error"], answer["retry_after"]) == (429, "busy", 1)

    @pytest.mark.parametrize(
        "document",
        [
            {"questions": []},
            {"questions": [{"fragment": NAME}] * 101},
            {"questions": {}},
            {"questions": [{"fragment": NAME}], "fragment": NAME},
        ],
    )
    def test_that_are_none_or_too_many_are_refused(self, document: Any) -> None:
        response = post(document)

        assert response.status_code == 422
        assert response.json()["fields"] == {
            "questions": "They are a list of 1 to 100, and all there is."
        }


def keys_of(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["key"] for answer in answers if "key" in answer]


@any_cache
class TestCredentials:
    def test_are_asked_for(self, cards: Fragment, artists: list[Artist]) -> None:
        response = Client().post(URL, b"{}", content_type="application/json")
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Fragcache, Bearer"
        assert response.json()["error"] == "credentials"

    def test_are_all_that_is_asked_for_where_pages_need_a_login(self, settings: Any) -> None:
        settings.MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        assert post({"fragment": "no.such"}).status_code == 404

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Fragcache",
            "Fragcache :",
            "Fragcache 1:",
            "Fragcache ²:00",
            f"Fragcache {'9' * 5000}:00",
            "Bearer ",
            "Bearer é",
            f"Basic {KEY}",
            f"Bearer {KEY[:-1]}",
        ],
    )
    def test_that_are_none_are_refused(self, header: str) -> None:
        sent = header.encode().decode("latin-1")
        response = Client().post(URL, b"{}", "application/json", headers={"Authorization": sent})
        assert response.status_code == 401

    def test_of_another_key_path_or_body_are_refused(self) -> None:
        assert post({"fragment": "no.such"}).status_code == 404
        assert post({"fragment": "no.such"}, key="another").status_code == 401
        assert post({"fragment": "no.such"}, path="/other/").status_code == 401
        other = signed(KEY, "POST", URL, b'{"fragment": "an.other"}')
        assert post({"fragment": "no.such"}, Authorization=other).status_code == 401

    def test_end_with_their_time(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        body = b'{"fragment": "no.such"}'
        for seconds, status in ((-70, 403), (-50, 404), (50, 404), (70, 403)):
            moment = time.time() + seconds
            monkeypatch.setattr(credentials.time, "time", lambda moment=moment: moment)
            header = signed(KEY, "POST", URL, body)
            monkeypatch.undo()
            assert post(body, Authorization=header).status_code == status

    def test_may_be_the_key_itself_and_never_a_secret_key(self, settings: Any) -> None:
        def bearer(key: str) -> int:
            return post(b"{}", Authorization=f"Bearer {key}").status_code

        assert (bearer(KEY), bearer("another")) == (422, 401)
        settings.FRAGCACHE = {"SECRET_KEYS": ["sealing"]}
        assert bearer("sealing") == 401
        assert post(b"{}", key="sealing").status_code == 422

    def test_rotate(self, settings: Any) -> None:
        settings.FRAGCACHE = {"API_KEYS": ["new", "old"], "SECRET_KEYS": ["sealing"]}
        assert credentials.signing_keys()[0] == "new"
        found = {key: post(b"{}", key=key).status_code for key in ("new", "old", "sealing")}
        assert found == {"new": 422, "old": 422, "sealing": 401}

    def test_are_none_where_no_keys_are_set(self, settings: Any) -> None:
        settings.FRAGCACHE = {}
        for key in ("", settings.SECRET_KEY):
            assert post(b"{}", key=key).status_code == 401
        assert "fragcache.W014" in [found.id for found in run_checks()]
        settings.FRAGCACHE = {"API_KEYS": [KEY]}
        assert "fragcache.W014" not in [found.id for found in run_checks()]
        settings.FRAGCACHE = {}
        with override_settings(ROOT_URLCONF="tests.urls"):
            assert "fragcache.W014" not in [found.id for found in run_checks()]


@any_cache
class TestRefusals:
    @pytest.mark.parametrize(
        ("document", "status", "fields"),
        [
            (b"{", 400, None),
            (b"[" * 30_000, 400, None),
            (b"[]", 400, None),
            ({}, 422, {"fragment": "It is missing."}),
            (
                {"fragment": 1, "args": {}, "spam": 1},
                422,
                {
                    "fragment": "It is not a text.",
                    "args": "It is not a list.",
                    "spam": "There is no such field.",
                },
            ),
            ({"fragment": NAME}, 422, {"artist": "It is missing."}),
            (
                {"fragment": NAME, "args": ["x"]},
                422,
                {"artist": "It is not a primary key of its model."},
            ),
            (
                {"fragment": NAME, "args": [1], "kwargs": {"artist": 1, "variant": "x", "a": 2}},
                422,
                {
                    "artist": "It is given twice.",
                    "variant": "It is not among its choices.",
                    "a": "There is no such parameter.",
                },
            ),
            (
                {"fragment": NAME, "args": [1, "row", 3]},
                422,
                {"args": "There are 3, and 2 parameters."},
            ),
            (
                {"fragment": "library.newest", "kwargs": {"a": 2}},
                422,
                {"a": "There is no such parameter."},
            ),
            ({"fragment": NAME, "args": [0]}, 404, None),
            ({"fragment": "library.html", "args": [1]}, 404, None),
            ({"fragment": "no.such"}, 404, None),
            ({"fragment": NAME, "kwargs": {"artist": "1" * 70_000}}, 413, None),
        ],
    )
    def test_say_what_is_wrong(
        self,
        cards: Fragment,
        artists: list[Artist],
        document: Any,
        status: int,
        fields: dict[str, str] | None,
    ) -> None:
        response = post(document)
        assert response.status_code == status
        said = response.json()
        assert said.get("fields") == fields
        assert said["error"]
        assert said["message"].endswith((".", "fields."))

    def test_of_another_method(self) -> None:
        response = Client().get(URL)
        assert (response.status_code, response["Allow"]) == (405, "POST")
        assert response.json()["error"] == "method"

    def test_tell_nothing_of_what_the_code_of_the_site_raises(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        @fragment(name=PLAIN, publish="context")
        def plain() -> dict[str, Any]:
            raise RuntimeError(SECRET)

        response = post({"fragment": PLAIN})
        assert response.status_code == 500
        assert response.json()["error"] == "failed"
        assert SECRET not in response.text
        assert "RuntimeError" in caplog.text
        again = post({"fragment": PLAIN})
        assert (again.status_code, again["Retry-After"]) == (429, "1")

    def test_tell_nothing_of_what_cannot_be_published(self) -> None:
        @fragment(name=PLAIN, publish="context")
        def plain() -> dict[str, Any]:
            return {"x": type(SECRET, (), {})()}

        response = post({"fragment": PLAIN})
        assert response.status_code == 500
        assert SECRET not in response.text

    def test_where_the_site_only_reads(
        self, cards: Fragment, artists: list[Artist], settings: Any
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "READ_ONLY": True}
        response = post({"fragment": NAME, "args": [artists[0].pk]})
        assert (response.status_code, response.json()["error"]) == (503, "read_only")

    def test_log_neither_keys_nor_contents(
        self, cards: Fragment, artists: list[Artist], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            answers = [
                post({"fragment": NAME, "args": [artists[0].pk]}),
                post({"fragment": NAME, "args": ["x"]}),
                post({"fragment": NAME, "args": [artists[0].pk]}, Authorization=f"Bearer {KEY}x"),
            ]
        said = caplog.text + "".join(answer.text for answer in answers)
        assert KEY not in said
        assert SECRET not in said


@pytest.mark.parametrize("cache_alias", ["redis", "memcached", "embedded"], indirect=True)
class TestManyWhoAsk:
    def test_at_the_same_time_cost_one_build(self, renders: list[Any]) -> None:
        @fragment(name=PLAIN, publish="context")
        def plain() -> dict[str, Any]:
            renders.append(None)
            time.sleep(0.1)
            return {}

        start = threading.Barrier(100)

        def ask(_number: int) -> HttpResponse:
            start.wait()
            return post({"fragment": PLAIN})

        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(ask, range(100)))
        assert len(renders) == 1
        assert {answer.status_code for answer in answers} <= {200, 429}
        assert len({answer.json()["key"] for answer in answers if answer.status_code == 200}) == 1
        assert sum(answer.status_code == 200 for answer in answers) > 50

    def test_in_processes_cost_one_build(self, tmp_path: Any) -> None:
        builds = tmp_path / "builds"

        @fragment(name=PLAIN, publish="context")
        def plain() -> dict[str, Any]:
            with builds.open("a") as file:
                file.write("x")
            time.sleep(0.2)
            return {}

        children = []
        for _number in range(4):
            if not (pid := os.fork()):
                try:
                    os._exit(0 if post({"fragment": PLAIN}).status_code == 200 else 1)
                finally:
                    os._exit(2)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        assert builds.read_text() == "x"

    def test_for_what_takes_long_are_told_to_come_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answering, "PATIENCE", 0.05)
        is_built, go_on = threading.Event(), threading.Event()

        @fragment(name=PLAIN, publish="context")
        def plain() -> dict[str, Any]:
            is_built.set()
            go_on.wait(5)
            return {}

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, {"fragment": PLAIN})
            is_built.wait(5)
            second = post({"fragment": PLAIN})
            go_on.set()
            assert first.result().status_code == 200
        assert (second.status_code, second["Retry-After"]) == (429, "1")
        assert second.json()["error"] == "busy"
        assert post({"fragment": PLAIN}).status_code == 200


@pytest.fixture
def silent_cache(start_server: Any, settings: Any) -> None:
    server = start_server("redis")
    alias = {"BACKEND": "fragcache.backends.redis.RedisCache", "LOCATION": server.address}
    settings.CACHES = {**settings.CACHES, "gone": alias}
    settings.FRAGCACHE = {**settings.FRAGCACHE, "CACHE_ALIAS": "gone"}
    assert store().is_writable
    server.stop()


@any_cache
def test_says_that_the_cache_does_not_answer(
    silent_cache: None, cards: Fragment, artists: list[Artist]
) -> None:
    response = post({"fragment": NAME, "args": [artists[0].pk]})
    assert (response.status_code, response.json()["error"]) == (503, "cache")
    assert "redis" not in response.text
