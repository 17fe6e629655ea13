"""The tasks of Celery, which workers find by ``autodiscover_tasks()``: batches, and renewals."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from fragcache import conf
from fragcache.warming import distributed, renewal


@shared_task(name="fragcache.warm_batch", ignore_result=True)  # type: ignore[untyped-decorator]
def warm_batch(run: int, number: int) -> str:
    """Do a batch of a run; return what became of it, for the worker's log."""
    return distributed.work(run, number)


@shared_task(name="fragcache.renew_fragment", ignore_result=True)  # type: ignore[untyped-decorator]
def renew_fragment(described: dict[str, Any]) -> str:
    """Renew an instance that was shown stale; return what became of it."""
    return renewal.renew(described)


def renew_with(described: dict[str, Any]) -> None:
    """Hand a renewal to workers, for ``FRAGCACHE["RENEW_WITH"]``."""
    renew_fragment.apply_async(args=[described], queue=conf.settings().QUEUE or None)
