"""The task by which workers of Celery do the batches; they find it by ``autodiscover_tasks()``."""

from __future__ import annotations

from celery import shared_task

from fragcache.warming import distributed


@shared_task(name="fragcache.warm_batch", ignore_result=True)  # type: ignore[untyped-decorator]
def warm_batch(run: int, number: int) -> str:
    """Do a batch of a run; return what became of it, for the worker's log."""
    return distributed.work(run, number)
