"""Outages: since when which process has left a cache alone, told to all by way of the database."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
from collections.abc import Iterable
from typing import Any, Final

from django.db import connections, router
from django.utils import timezone

from fragcache.models import Outage

logger = logging.getLogger("fragcache")

#: Seconds after its last sign that a process counts as gone.
LIFE: Final = 30
#: Seconds between two signs of an outage that goes on.
INTERVAL: Final = 10
#: How many are kept.
KEPT: Final = 1_000


def note(
    *, alias: str, purpose: str, opened_at: dt.datetime, is_open: bool, **_kwargs: Any
) -> None:
    """Record that a guard is open, goes on being so, or is closed; a receiver of ``guard_probed``.

    It runs in the thread that asks the cache. A site without a database, or without the table,
    has no record.
    """
    try:
        _write(alias, purpose, opened_at, is_open=is_open)
    except Exception as error:  # noqa: BLE001 - what guards the cache needs no record
        logger.debug("An outage is not recorded: %s: %s", type(error).__name__, error)
    finally:
        connections.close_all()


def going_on() -> Iterable[Outage]:
    """Return the outages of which a process has given a sign lately, the oldest first."""
    lately = timezone.now() - dt.timedelta(seconds=LIFE)
    return Outage.objects.filter(ended_at=None, seen_at__gte=lately).order_by("began_at")


def _write(alias: str, purpose: str, opened_at: dt.datetime, *, is_open: bool) -> None:
    database = router.db_for_write(Outage)
    if connections[database].settings_dict["ENGINE"] == "django.db.backends.dummy":
        return
    moment = timezone.now()
    began = opened_at if timezone.is_aware(moment) else timezone.make_naive(opened_at)
    outages = Outage.objects.using(database)
    outage, is_new = outages.get_or_create(
        alias=alias,
        purpose=purpose,
        host=socket.gethostname()[:255],
        pid=os.getpid(),
        began_at=began,
        defaults={"seen_at": moment},
    )
    if not is_open:
        outages.filter(pk=outage.pk).update(seen_at=moment, ended_at=moment)
    elif moment - outage.seen_at >= dt.timedelta(seconds=INTERVAL):
        outages.filter(pk=outage.pk).update(seen_at=moment)
    if is_new:
        old = list(outages.values_list("pk", flat=True)[KEPT : 2 * KEPT])
        outages.filter(pk__in=old).delete()
