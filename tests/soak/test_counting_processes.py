"""What processes count adds up, over a hundred thousand requests, on each kind of cache."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection

from fragcache.events import Event
from tests.counting_processes import address_of, check

pytestmark = pytest.mark.soak
REQUESTS = 100_000


@pytest.mark.parametrize("cache_alias", ["redis", "memcached", "embedded"], indirect=True)
@pytest.mark.server("postgresql")
@pytest.mark.django_db(transaction=True)
def test_the_counts_of_four_processes_are_what_they_asked_for(cache_alias: str) -> None:
    cache = settings.CACHES[cache_alias]
    where = address_of(connection.settings_dict)
    sums = check(REQUESTS, cache["BACKEND"], str(cache["LOCATION"]), where)
    print({event.value: sums[event] for event in Event if sums[event]})
