"""One failover after the other, of each primary in turn, with pages all the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fragcache import Fragment
from fragcache.backends.redis_nodes import Nodes
from tests.fleet_pages import check_failover, use_fleet
from tests.fleets import ClusterFleet, SentinelFleet, fleet_of, until

pytestmark = [pytest.mark.soak, pytest.mark.server("redis"), pytest.mark.without_local_cache]


@pytest.fixture(params=[SentinelFleet, ClusterFleet])
def fleet(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from fleet_of(request.param)
    Nodes.forget_all()


def test_pages_outlive_one_failover_after_the_other(
    request: pytest.FixtureRequest,
    settings: Any,
    fleet: Any,
    greeting: Fragment,
    renders: list[str],
) -> None:
    use_fleet(request, settings, fleet.cache)
    for number in range(8):
        primaries = fleet.primaries if isinstance(fleet, ClusterFleet) else [fleet.primary]
        check_failover(primaries[number % len(primaries)], greeting, renders)
        fleet.restore()
        until(fleet.is_whole)
