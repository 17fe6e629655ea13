"""The database's clock, by which versions and heads are ordered, without time zones."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from django.db import connections
from django.db.models import TextField
from django.db.models.functions import Now

from fragcache import versions
from fragcache.keys import microseconds
from tests.fixtures import Clock
from tests.library.models import Artist

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        "postgresql" not in connections.settings["default"]["ENGINE"], reason="needs PostgreSQL"
    ),
]


@pytest.fixture
def new_york(settings: Any) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "America/New_York"


@pytest.mark.parametrize("hour", [5, 6])
def test_of_the_hour_that_summer_time_ends_with_the_present_one_is_meant(
    new_york: None, clock: Clock, hour: int
) -> None:
    """Else heads of the second one would seem to be an hour older than those of the first."""
    moment = dt.datetime(2026, 11, 1, hour, 20, tzinfo=dt.UTC)
    clock.step(moment.timestamp() + 5 - time.time())
    told = moment.replace(hour=1, tzinfo=None)
    assert versions._clock(told, "default") == microseconds(moment)


def test_it_is_told_without_a_zone(new_york: None) -> None:
    Artist.objects.create(name="Nina")
    told = Artist.objects.values_list(Now(output_field=TextField()), flat=True).get()
    assert told.tzinfo is None
    assert abs(versions._clock(told, "default") / 1e6 - time.time()) < 60
