"""The word for a load balancer, and what it is made of for those who may know."""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from django.utils import timezone

from fragcache.models import Outage, WarmRun
from fragcache.stats import answering
from fragcache.store import store
from tests.stopwatch import Stopwatch

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [
    path("health/", include("fragcache.monitoring.urls")),
    path("fragments/", include("fragcache.urls")),
]

KEY = "the-key-of-the-monitor"
REDIS = "fragcache.backends.redis.RedisCache"


class Frozen(LocMemCache):
    """A cache whose client knows no time-out."""

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(2)


class Broken(LocMemCache):
    """A cache that fails in its own way."""

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("the password is hunter2")


class SessionStore(SessionBase):
    """The sessions of a site without a database, as Django's own are then."""

    def load(self) -> Any:
        raise ImproperlyConfigured("settings.DATABASES is improperly configured.")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    answering._questions.clear()
    yield
    answering._questions.clear()


@pytest.fixture
def silent_address() -> Iterator[str]:
    """Where connections are taken and nothing is answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


def use(settings: Any, declare: Any, **caches: dict[str, str]) -> None:
    """Keep fragments in caches, the first of them as that of the settings."""
    settings.CACHES = {**settings.CACHES, **caches}
    first, *others = caches
    settings.FRAGCACHE = {"CACHE_ALIAS": first, "MONITORING_KEYS": [KEY]}
    for alias in others:
        declare("x.html", name=f"library.{alias}", using=alias)(dict)


def locmem(kind: type[LocMemCache] = LocMemCache) -> dict[str, str]:
    return {"BACKEND": f"{kind.__module__}.{kind.__qualname__}", "LOCATION": "health"}


def ask(url: str = "/health/", *, key: str = "") -> HttpResponse:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Client().get(url, headers=headers)


@pytest.mark.parametrize("url", ["/health/", "/fragments/health/"])
def test_strangers_are_told_one_word_and_cost_no_query(
    url: str, settings: Any, declare: Any, django_assert_num_queries: Any
) -> None:
    use(settings, declare, fast=locmem())
    with django_assert_num_queries(0):
        response = ask(url)
    assert response.json() == {"status": "ok"}
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert ask(url, key="wrong").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("caches", "word"),
    [
        (["fast", "good"], "ok"),
        (["fast", "gone"], "degraded"),
        (["gone", "fast"], "degraded"),
        (["gone"], "down"),
        (["broken", "gone"], "down"),
    ],
)
def test_a_site_without_its_cache_stays_in_the_pool_unless_that_is_asked_for(
    caches: list[str], word: str, settings: Any, declare: Any
) -> None:
    kinds = {
        "fast": locmem(),
        "good": locmem(),
        "gone": {"BACKEND": REDIS, "LOCATION": "redis://127.0.0.1:9"},
        "broken": locmem(Broken),
    }
    use(settings, declare, **{name: kinds[name] for name in caches})
    assert ask().json() == {"status": word}
    assert ask().status_code == 200
    assert ask("/health/?strict").status_code == (200 if word == "ok" else 503)


def test_an_open_guard_of_this_process_degrades(settings: Any, declare: Any) -> None:
    use(settings, declare, fast=locmem())
    store().writes.open_since = dt.datetime.now(dt.UTC)
    assert ask().json() == {"status": "degraded"}


def test_a_cookie_whose_session_cannot_be_read_is_nobodys(settings: Any, declare: Any) -> None:
    """As that of another site of the same host, sent to one without a database."""
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    settings.SESSION_ENGINE = __name__
    use(settings, declare, fast=locmem())
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    assert client.get("/health/").json() == {"status": "ok"}


def test_a_site_that_does_without_is_well(settings: Any, declare: Any) -> None:
    use(settings, declare, gone={"BACKEND": REDIS, "LOCATION": "redis://127.0.0.1:9"})
    settings.FRAGCACHE = {**settings.FRAGCACHE, "ENABLED": False}
    assert ask().json() == {"status": "ok"}
    assert ask(key=KEY).json()["enabled"] is False


def test_a_second_passes_at_most_however_many_caches_are_frozen(
    settings: Any, declare: Any, silent_address: str
) -> None:
    silent = {"BACKEND": REDIS, "LOCATION": silent_address}
    use(settings, declare, deaf=locmem(Frozen), numb=locmem(Frozen), mute=silent, fast=locmem())
    with Stopwatch() as watch:
        document = ask(key=KEY).json()
    assert watch.seconds < 1.5
    assert document["status"] == "degraded"
    assert {alias for alias, one in document["caches"].items() if one["answers"]} == {"fast"}
    threads = answering._questions["deaf"]
    ask()
    assert answering._questions["deaf"] is threads, "what does not answer is asked once"


def test_who_may_watch_is_told_why_and_no_secrets(settings: Any, declare: Any) -> None:
    use(settings, declare, fast=locmem(), broken=locmem(Broken))
    now = timezone.now()
    Outage.objects.create(
        alias="fast",
        purpose="reading",
        host="web1",
        pid=1,
        began_at=now - dt.timedelta(seconds=20),
        seen_at=now,
    )
    WarmRun.objects.create(
        host="web1",
        pid=7,
        status="ok",
        started_at=now - dt.timedelta(seconds=70),
        finished_at=now - dt.timedelta(seconds=60),
    )
    response = ask(key=KEY)
    document = response.json()
    assert 0 < document["caches"]["fast"].pop("milliseconds") < 700
    assert document["guards"][0].pop("open_for") == pytest.approx(20, abs=2)
    assert document["warm_runs"].pop("ok") == pytest.approx(60, abs=2)
    assert document == {
        "status": "degraded",
        "enabled": True,
        "caches": {
            "fast": {"answers": True, "problem": ""},
            "broken": {"answers": False, "milliseconds": None, "problem": "OSError"},
        },
        "guards": [{"alias": "fast", "purpose": "reading", "processes": 1}],
        "warm_runs": {},
    }
    assert b"hunter2" not in response.content
