"""Every degradation is a signal: for a site's own metrics and alarms."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fragcache.counters import degrade
from fragcache.events import Event
from fragcache.signals import degraded


@pytest.fixture
def received() -> Iterator[list[dict[str, Any]]]:
    received: list[dict[str, Any]] = []

    def note(*, signal: object, **about: Any) -> None:
        received.append(about)

    degraded.connect(note)
    yield received
    degraded.disconnect(note)


def test_it_is_sent_each_time_though_logged_once(
    received: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    for _time in range(2):
        degrade(Event.REFUSED, "blog.card", "too large", "%s is too large.", "blog.card", times=3)
    assert received == 2 * [
        {
            "sender": Event.REFUSED,
            "event": Event.REFUSED,
            "fragment": "blog.card",
            "cause": "too large",
            "times": 3,
        }
    ]
    assert [record.message for record in caplog.records] == ["blog.card is too large."]


def test_a_receiver_that_fails_breaks_no_page(caplog: pytest.LogCaptureFixture) -> None:
    def fails(**about: Any) -> None:
        raise ValueError("no")

    degraded.connect(fails)
    try:
        with caplog.at_level(logging.ERROR, logger="django.dispatch"):
            degrade(Event.CACHE_ERROR, "", "x", "The cache is down.")
    finally:
        degraded.disconnect(fails)
    assert any("fails" in record.getMessage() for record in caplog.records)
