"""What Prometheus scrapes, as its own parser reads it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import include, path
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from fragcache import counters, get_fragment, get_fragments
from fragcache.contrib.prometheus import FragcacheCollector
from fragcache.events import AGE_BUCKET, Event, Measure, Miss
from fragcache.models import Outage, WarmRun
from fragcache.stats.keeping import Keeper, keeper
from tests.fixtures import any_cache

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("no_counts"),
]

urlpatterns = [path("metrics/", include("fragcache.contrib.prometheus.urls"))]

NAME = "blog.card"
KEY = "the-key-of-the-monitor"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(**options: Any) -> Samples:
    registry = CollectorRegistry()
    registry.register(FragcacheCollector(**options))
    return parsed(generate_latest(registry).decode())


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"fragcache_{name}", frozenset(labels.items())))


def count(counts: dict[Any, int], name: str = NAME, axes: str = "language=s2:en") -> None:
    counters.count_many(name, axes, {str(field): times for field, times in counts.items()})


class TestCounters:
    @any_cache
    def test_are_what_pages_asked_for(self, cache_alias: str, greeting: Any) -> None:
        get_fragment(greeting, "Nina")
        get_fragments(greeting, ["Nina", "Ella"])
        keeper.flush()
        found = scraped()
        name = {"fragment": "library.greeting"}
        assert value(found, "hits_total", **name) == 1
        missed = [
            value(found, "misses_total", reason=one.name.lower(), **name) or 0 for one in Miss
        ]
        assert sum(missed) == value(found, "renders_total", **name) == 2
        assert value(found, "stored_total", **name) == 2
        assert value(found, "stored_bytes_total", **name) == len("Hello Nina") + len("Hello Ella")
        assert value(found, "first_renders_total", **name) == 1
        assert value(found, "render_seconds_count", **name) == 1
        assert value(found, "served_age_seconds_count", **name) in {0, 1}
        assert value(found, "counts_available") == 1

    def test_are_of_all_processes_in_base_units(self) -> None:
        for times in (1, 2):
            count({Measure.LOOKUP_NS: 500_000_000, Measure.WAIT_US: 1_500_000, Event.HIT: times})
            Keeper().flush()
        found = scraped()
        assert value(found, "lookup_seconds_total", fragment=NAME) == 1
        assert value(found, "wait_seconds_total", fragment=NAME) == 3
        assert value(found, "hits_total", fragment=NAME) == 3

    def test_begin_with_zero(self, declare: Any) -> None:
        declare("x.html", name="blog.unseen")(dict)
        found = scraped()
        assert value(found, "hits_total", fragment="blog.unseen") == 0
        assert value(found, "misses_total", fragment="blog.unseen", reason="cold") == 0
        assert value(found, "events_total", fragment="", event="cache_error") == 0
        assert value(found, "events_total", fragment="blog.unseen", event="leak") is None

    def test_of_what_goes_wrong_are_by_event(self) -> None:
        count({Event.REFUSED: 2})
        counters.count(Event.CACHE_ERROR, times=3)
        keeper.flush()
        found = scraped()
        assert value(found, "events_total", fragment=NAME, event="refused") == 2
        assert value(found, "events_total", fragment="", event="cache_error") == 3

    @pytest.mark.parametrize("mode", ["process", "off"])
    def test_of_a_process_that_counts_for_itself_name_it(self, mode: str, settings: Any) -> None:
        settings.FRAGCACHE = {"STATS": mode}
        count({Event.HIT: 3}, axes="")
        count({Event.HIT: 4})
        found = scraped()
        assert value(found, "hits_total", fragment=NAME, process=keeper.process) == 7
        assert value(found, "counts_available") == 1

    def test_that_cannot_be_read_are_no_zeros(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE fragcache_totals RENAME TO elsewhere")
        found = scraped()
        assert value(found, "counts_available") == 0
        assert value(found, "hits_total", fragment=NAME) is None
        assert value(found, "cache_up", alias="fragments") == 1

    def test_by_axis_values_are_those_of_an_hour_where_they_are_asked_for(self) -> None:
        count({Event.HIT: 3, Miss.COLD: 1, Miss.EXPIRED: 1})
        keeper.flush()
        labels = {"fragment": NAME, "axes": "language=s2:en"}
        assert value(scraped(), "last_hour_hits", **labels) is None
        found = scraped(by_axes=True)
        assert value(found, "last_hour_hits", **labels) == 3
        assert value(found, "last_hour_misses", **labels) == 2

    def test_of_unlikely_names_are_escaped(self) -> None:
        count({Event.HIT: 3}, name='a "quoted"\nname\\')
        keeper.flush()
        assert value(scraped(), "hits_total", fragment='a "quoted"\nname\\') == 3


class TestHistograms:
    def test_have_the_buckets_that_hold_what_was_counted(self) -> None:
        for micros in (50, 63, 64, 1_000, 300_000, 10**9):
            count(counters.render_counts(NAME, [micros]))
        count({f"{AGE_BUCKET}{8}": 2})
        keeper.flush()
        found = scraped()

        def renders(le: str) -> float | None:
            return value(found, "render_seconds_bucket", fragment=NAME, le=le)

        # Of these the first one was the first of the process.
        assert renders("6.4e-05") == 1
        assert renders("0.000256") == 2
        assert renders("0.001024") == 3
        assert renders("0.262144") == 3
        assert renders("1.048576") == 4
        assert renders("16.777216") == 4
        assert renders("+Inf") == value(found, "render_seconds_count", fragment=NAME) == 5
        seconds = value(found, "render_seconds_sum", fragment=NAME)
        assert seconds == pytest.approx(1000.301127)
        assert value(found, "served_age_seconds_count", fragment=NAME) == 2
        assert value(found, "served_age_seconds_sum", fragment=NAME) == pytest.approx(17e-6)


class TestStates:
    def test_are_those_of_caches_guards_and_runs(self, settings: Any) -> None:
        settings.CACHES = {
            **settings.CACHES,
            "gone": {
                "BACKEND": "fragcache.backends.redis.RedisCache",
                "LOCATION": "redis://127.0.0.1:9",
            },
        }
        settings.FRAGCACHE = {"CACHE_ALIAS": "gone"}
        now = timezone.now()
        common = {"host": "web1", "began_at": now, "seen_at": now}
        for pid in (1, 2):
            Outage.objects.create(alias="gone", purpose="reading", pid=pid, **common)
        Outage.objects.create(alias="gone", purpose="writing", pid=3, ended_at=now, **common)
        for minutes, status in ((90, "ok"), (60, "ok"), (30, "failed")):
            began = now - dt.timedelta(minutes=minutes)
            WarmRun.objects.create(
                host="web1",
                pid=7,
                status=status,
                started_at=began,
                finished_at=began + dt.timedelta(seconds=minutes),
            )
        WarmRun.objects.create(host="web1", pid=8, started_at=now)
        found = scraped()
        assert value(found, "cache_up", alias="gone") == 0
        assert value(found, "cache_answer_seconds", alias="gone") is None
        assert value(found, "guard_open", alias="gone", purpose="reading") == 2
        assert value(found, "guard_open", alias="gone", purpose="writing") == 0
        assert value(found, "outages_last_day", alias="gone", purpose="writing") == 1
        ended = (now - dt.timedelta(minutes=59)).timestamp()
        at = value(found, "warm_run_finished_timestamp_seconds", status="ok")
        assert at == pytest.approx(ended)
        assert value(found, "warm_run_duration_seconds", status="failed") == 30
        assert value(found, "warm_run_duration_seconds", status="running") is None


def test_registering_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        CollectorRegistry().register(FragcacheCollector())
        CollectorRegistry(auto_describe=True).register(FragcacheCollector())


class TestTheView:
    @pytest.fixture(autouse=True)
    def keys(self, settings: Any) -> None:
        settings.FRAGCACHE = {
            "MONITORING_KEYS": [KEY],
            "API_KEYS": ["another"],
            "CACHE_ALIAS": "locmem",
        }
        settings.MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

    def test_answers_who_has_the_key(self, settings: Any) -> None:
        count({Event.HIT: 3})
        keeper.flush()
        response = Client().get("/metrics/", headers={"Authorization": f"Bearer {KEY}"})
        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/plain; version=")
        assert "no-store" in response["Cache-Control"]
        found = parsed(response.content.decode())
        assert value(found, "hits_total", fragment=NAME) == 3
        assert not re.search(rb"^(?!fragcache_|# (HELP|TYPE) fragcache_)", response.content)

    def test_speaks_openmetrics(self) -> None:
        accept = "application/openmetrics-text; version=1.0.0"
        headers = {"Authorization": f"bearer {KEY}", "Accept": accept}
        response = Client().get("/metrics/?axes", headers=headers)
        assert response["Content-Type"].startswith("application/openmetrics-text")
        names = {family.name for family in openmetrics(response.content.decode())}
        assert {"fragcache_hits", "fragcache_render_seconds", "fragcache_last_hour_hits"} <= names

    @pytest.mark.parametrize("given", ["", "Bearer ", "Bearer another", f"Basic {KEY}", KEY])
    def test_refuses_all_others(self, given: str) -> None:
        response = Client().get("/metrics/", headers={"Authorization": given})
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"
        assert b"fragcache_" not in response.content

    def test_without_keys_refuses_an_empty_one(self, settings: Any) -> None:
        settings.FRAGCACHE = {}
        response = Client().get("/metrics/", headers={"Authorization": "Bearer "})
        assert response.status_code == 401

    @pytest.mark.parametrize(
        ("is_staff", "may_view", "status"),
        [(True, True, 200), (True, False, 401), (False, True, 401)],
    )
    def test_answers_staff_with_the_permission(
        self, *, is_staff: bool, may_view: bool, status: int
    ) -> None:
        user = User.objects.create(username="nina", is_staff=is_staff)
        if may_view:
            user.user_permissions.add(Permission.objects.get(codename="view_fragmentcache"))
        client = Client()
        client.force_login(user)
        assert client.get("/metrics/").status_code == status

    def test_reads_only(self) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        assert Client().post("/metrics/", headers=headers).status_code == 405
