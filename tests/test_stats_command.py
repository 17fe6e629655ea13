"""``manage.py fragments stats``: what is printed of the counts, for people and for programs."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fragcache import counters
from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.histograms import bucket_of
from fragcache.stats.keeping import keeper
from tests.fixtures import any_cache

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
CARD = {
    Event.HIT: 9_000,
    Measure.HIT_LOCAL: 3_000,
    Miss.NEW_VERSION: 400,
    Miss.COLD: 600,
    Measure.LOOKUP_NS: 10_000 * 50_000,
    Event.RENDERED: 1_000,
    Measure.RENDER_US: 1_000 * 12_000,
    RENDER_BUCKET + str(bucket_of(12_000)): 900,
    RENDER_BUCKET + str(bucket_of(100_000)): 100,
    Event.STORED: 1_000,
    Measure.STORE_US: 1_000 * 200,
    AGE_BUCKET + str(bucket_of(7_500_000_000)): 9_000,
}


@pytest.fixture(autouse=True)
def counts(no_counts: None) -> None:
    counters.count_many("blog.card", "language=s2:en", CARD)
    counters.count_many("blog.card", "language=s2:de", {Event.HIT: 10})
    counters.count_many("shop.offer", "language=s2:en", {Measure.WARMED: 3, Event.RENDERED: 3})
    counters.count(Event.CACHE_ERROR)
    keeper.flush()


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    call_command("fragments", "stats", *arguments)
    return capsys.readouterr().out.splitlines()


def test_a_row_tells_what_a_fragment_costs_and_earns(capsys: Any) -> None:
    caches, empty, heading, card, offer = lines(capsys)

    assert "answers in" in caches
    assert not empty
    assert heading.split("  ")[0] == "name"
    assert [cell.strip() for cell in card.split("  ") if cell] == [
        *("blog.card", "10,010", "90.0%", "cold 600, new version 400", "1,000"),
        *("11.3 ms", "106 ms", "50 µs", "116 min", "116 min", "107 s", "earns its place"),
    ]
    assert offer.startswith("shop.offer  0")
    assert offer.endswith("never read")


def test_each_set_of_axis_values_has_a_row_if_that_is_asked_for(capsys: Any) -> None:
    found = lines(capsys, "blog", "--by-axes")[3:]
    assert [line.split()[:3] for line in found] == [
        ["blog.card", "language=s2:en", "10,000"],
        ["blog.card", "language=s2:de", "10"],
    ]


@pytest.mark.parametrize("label", ["shop.offer", "shop"])
def test_fragments_are_chosen_by_name_or_app(capsys: Any, label: str) -> None:
    assert [line.split()[0] for line in lines(capsys, label)[3:]] == ["shop.offer"]


def test_what_is_neither_declared_nor_counted_is_a_mistake() -> None:
    with pytest.raises(CommandError, match=r"called 'blog\.cart'\. Did you mean") as caught:
        call_command("fragments", "stats", "blog.cart")
    assert caught.value.returncode == 2


def test_a_document_has_all_of_it(capsys: Any) -> None:
    found = json.loads("\n".join(lines(capsys, "--json", "--last", "24h")))

    assert (found["format"], found["seconds"], found["problem"]) == (1, 86_400, "")
    card, offer = found["fragments"]
    assert card["misses"] == {"cold": 600, "new version": 400}
    assert (card["hits"], card["hits_local"], card["hit_ratio"]) == (9_010, 3_000, 0.9001)
    assert card["render"] == 0.012
    assert card["saved_per_hour"] == pytest.approx(
        (9_010 * (0.012 - 0.5 / 10_010) - 1_000 * (0.5 / 10_010 + 0.0002)) / 24, rel=1e-5
    )
    assert (offer["warmed"], offer["hit_ratio"], offer["verdict"]) == (3, None, "never read")


def test_what_was_counted_before_is_not_in_it(capsys: Any, monkeypatch: Any) -> None:
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 4_000)
    call_command("fragments", "stats")
    assert capsys.readouterr().err == "Nothing was counted in the last 1h.\n"


def test_a_site_that_keeps_no_counts_is_told_why(capsys: Any, settings: Any) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "STATS": "process"}
    call_command("fragments", "stats", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["fragments"] == []
    assert "'process': each process knows its own counts alone" in found["problem"]


def test_watching_looks_again_until_it_is_interrupted(capsys: Any, monkeypatch: Any) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    found = lines(capsys, "--watch", "3")
    assert pauses == [3, 3]
    assert sum(line.startswith("blog.card") for line in found) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--watch", "0"], "'0' is not a number of seconds from 0.1 to 3600"),
        (["--watch", "--json"], "--watch and --json exclude each other"),
        (["--last", "2h"], "invalid choice: '2h'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_shown_is_a_mistake(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("fragments", "stats", *arguments)
