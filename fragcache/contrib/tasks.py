"""The tasks of ``django.tasks``: the batches of ``warm_fragments --enqueue``, and renewals.

It is not called ``fragcache.tasks``, which Celery would import on every site that has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fragcache import conf
from fragcache.warming import distributed, renewal

if TYPE_CHECKING:
    from django.tasks import task
    from django.tasks.backends.dummy import DummyBackend
    from django.tasks.backends.immediate import ImmediateBackend
else:
    try:
        from django.tasks import task
        from django.tasks.backends.dummy import DummyBackend
        from django.tasks.backends.immediate import ImmediateBackend
    except ImportError:  # Django 5.2
        from django_tasks import task
        from django_tasks.backends.dummy import DummyBackend
        from django_tasks.backends.immediate import ImmediateBackend

__all__ = ["DummyBackend", "ImmediateBackend", "renew_fragment", "renew_with", "warm_batch"]


# A backend may know no queue called "default".
@task(queue_name=conf.settings().QUEUE or "default")
def warm_batch(run: int, number: int) -> str:
    """Do a batch of a run; return what became of it."""
    return distributed.work(run, number)


@task(queue_name=conf.settings().QUEUE or "default")
def renew_fragment(described: dict[str, Any]) -> str:
    """Renew an instance that was shown stale; return what became of it."""
    return renewal.renew(described)


def renew_with(described: dict[str, Any]) -> None:
    """Hand a renewal to workers, for ``FRAGCACHE["RENEW_WITH"]``."""
    renew_fragment.enqueue(described)
