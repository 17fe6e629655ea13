"""What several processes count adds up to what they count by themselves."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection

from fragcache.events import Event, Measure
from tests.counting_processes import address_of, check

REQUESTS = 4_000


@pytest.mark.parametrize("cache_alias", ["redis"], indirect=True)
@pytest.mark.server("postgresql")
@pytest.mark.django_db(transaction=True)
def test_the_counts_of_processes_threads_and_children_are_what_they_asked_for(
    cache_alias: str,
) -> None:
    cache = settings.CACHES[cache_alias]
    sums = check(
        REQUESTS,
        cache["BACKEND"],
        str(cache["LOCATION"]),
        address_of(connection.settings_dict),
    )
    assert sums[Event.HIT] > REQUESTS / 2
    assert sums[Measure.HIT_LOCAL] <= sums[Event.HIT]
