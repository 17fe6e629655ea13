"""How often a warm page waits for its server, counted by a relay in front of it."""

from __future__ import annotations

import os
import re

from django.conf import settings
from django.test import override_settings

from benchmarks.contenders.fragcache_tags import MANY
from benchmarks.contenders.templates import row
from benchmarks.requests import request
from benchmarks.rows import Page
from benchmarks.servers import VARIABLES
from tests.relay import Relay


def of_warm_page(server: str, page: Page) -> int:
    """Return the round trips of one warm ``{% fragments %}`` without the local cache."""
    address = os.environ[VARIABLES[server]]
    target = re.sub(r"^redis://|/\d+$", "", address)
    alias = f"fragcache-{server}"
    tag = row("fragments", "", MANY)
    with Relay(target) as relay:
        relayed = settings.CACHES[alias] | {"LOCATION": address.replace(target, relay.address)}
        with override_settings(
            CACHES=settings.CACHES | {alias: relayed},
            FRAGCACHE={"CACHE_ALIAS": alias, "LOCAL_MAX_BYTES": 0},
        ):
            for _ in range(2):
                with request():
                    tag.render(page)
            with relay.counting() as trips, request():
                tag.render(page)
    return trips.count
