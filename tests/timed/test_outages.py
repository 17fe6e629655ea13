"""Outages: what ``fragments stats`` tells of caches that do not answer, in whichever process."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.utils import timezone

from fragcache import Fragment, get_fragment
from fragcache.models import Outage
from fragcache.stats import outages
from fragcache.store import store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.outages]
#: No other test has it: guards that those have left open go on telling of themselves.
ALIAS = "watched"
REDIS = "fragcache.backends.redis.RedisCache"


@pytest.fixture
def server(start_server: Any, settings: Any) -> Any:
    server = start_server("redis")
    settings.CACHES = {
        **settings.CACHES,
        ALIAS: {"BACKEND": REDIS, "LOCATION": server.address},
    }
    settings.FRAGCACHE = {"CACHE_ALIAS": ALIAS, "LOCAL_MAX_BYTES": 0}
    return server


def stats(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what it says of the alias."""
    capsys.readouterr()
    with suppress(CommandError):
        call_command("fragments", "stats", "--json")
    document = json.loads(capsys.readouterr().out)
    [mine] = [cache for cache in document["caches"] if cache["alias"] == ALIAS]
    found: dict[str, Any] = mine
    return found


def ours() -> QuerySet[Outage]:
    return Outage.objects.filter(alias=ALIAS)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cache_that_answers(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = stats(capsys)
    assert 0 < found.pop("seconds") < 1
    assert found == {"alias": ALIAS, "problem": "", "open_guards": []}


def test_a_guard_that_opens_in_this_process_is_told_until_it_closes(
    server: Any, greeting: Fragment, capsys: pytest.CaptureFixture[str]
) -> None:
    get_fragment(greeting, "you")
    server.process.send_signal(signal.SIGSTOP)
    assert get_fragment(greeting, "you") == "Hello you"
    until(lambda: ours().filter(ended_at=None).exists())

    found = stats(capsys)
    assert found["seconds"] is None
    assert found["problem"].startswith("alias 'watched': ")
    [guard] = found["open_guards"]
    assert (guard["purpose"], guard["processes"]) == ("reading", {socket.gethostname(): 1})
    with pytest.raises(CommandError, match="No answer from 'watched'") as raised:
        call_command("fragments", "stats")
    assert raised.value.returncode == 75
    assert "guard for reading open since 20" in capsys.readouterr().out

    server.process.send_signal(signal.SIGCONT)
    until(lambda: store(ALIAS).reads.open_since is None)
    until(lambda: not ours().filter(ended_at=None).exists())
    assert stats(capsys)["open_guards"] == []
    assert ours().get().ended_at is not None


def test_processes_are_counted_by_host(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    moment = timezone.now()
    for host, pid in (("web1", 1), ("web1", 2), ("web2", 1)):
        Outage.objects.create(
            alias=ALIAS, purpose="writing", host=host, pid=pid, began_at=moment, seen_at=moment
        )
    [guard] = stats(capsys)["open_guards"]
    assert guard["processes"] == {"web1": 2, "web2": 1}


def test_a_process_that_gives_no_sign_is_gone(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    long_ago = timezone.now() - dt.timedelta(seconds=outages.LIFE + 1)
    Outage.objects.create(
        alias=ALIAS, purpose="reading", host="web1", pid=1, began_at=long_ago, seen_at=long_ago
    )
    assert stats(capsys)["open_guards"] == []


def test_an_outage_that_goes_on_gives_a_sign_now_and_then() -> None:
    began = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    about = {"alias": ALIAS, "purpose": "reading", "opened_at": began}
    outages.note(**about, is_open=True)
    former = timezone.now() - dt.timedelta(seconds=outages.INTERVAL + 1)
    ours().update(seen_at=former)
    outages.note(**about, is_open=True)

    outage = ours().get()
    assert outage.seen_at > former
    assert (outage.pid, outage.began_at) == (os.getpid(), began)


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "KEPT", 3)
    for number in range(5):
        began = dt.datetime(2026, 1, 1 + number, tzinfo=dt.UTC)
        outages.note(alias=ALIAS, purpose="reading", opened_at=began, is_open=False)
    assert [outage.began_at.day for outage in ours()] == [5, 4, 3]


def test_without_the_table_guards_work_all_the_same(
    server: Any, greeting: Fragment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in Outage._meta.concrete_fields:
        _ = field.cached_col  # which would keep the name that is set next, for all tests
    monkeypatch.setattr(Outage._meta, "db_table", "no_such_table")
    server.process.send_signal(signal.SIGSTOP)
    assert get_fragment(greeting, "you") == "Hello you"
    server.process.send_signal(signal.SIGCONT)
    until(lambda: store(ALIAS).reads.open_since is None)
