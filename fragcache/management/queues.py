"""Queues: what carries batches to workers, ``django.tasks`` or Celery."""

from __future__ import annotations

from typing import Final, NamedTuple

from django.apps import apps

from fragcache import conf
from fragcache.exceptions import FragcacheError
from fragcache.warming.distributed import Send

#: In INSTALLED_APPS it chooses Celery.
CELERY: Final = "fragcache.contrib.celery"


class NoQueue(FragcacheError):
    """Nothing is set up that could carry batches to workers."""


class Queue(NamedTuple):
    """How a batch is put into a queue, and whether it is done at once by the same process."""

    send: Send
    is_immediate: bool


def chosen() -> Queue:
    """Return the queue of the site.

    Raises:
        NoQueue: there is none; with what to install or to set.
    """
    return _celery() if apps.is_installed(CELERY) else _tasks()


def _tasks() -> Queue:
    name = conf.settings().QUEUE
    try:
        from fragcache.contrib.tasks import DummyBackend, ImmediateBackend, warm_batch

        task = warm_batch.using(queue_name=name) if name else warm_batch
        backend = task.get_backend()
    except ImportError as error:
        raise NoQueue(
            f"--enqueue needs django-tasks here ({error}): install fragcache[tasks], or use Celery "
            f"by {CELERY!r} in INSTALLED_APPS."
        ) from error
    except Exception as error:
        raise NoQueue(
            f"--enqueue: the setting TASKS carries no batches to workers: {error} "
            "FRAGCACHE['QUEUE'] names the queue."
        ) from error
    if isinstance(backend, DummyBackend):
        raise NoQueue(
            "--enqueue: the setting TASKS has the DummyBackend, which does nothing. Use one with "
            "workers, such as django_tasks_db.DatabaseBackend."
        )

    def send(run: int, number: int) -> None:
        task.enqueue(run=run, number=number)

    return Queue(send, isinstance(backend, ImmediateBackend))


def _celery() -> Queue:
    try:
        from celery import current_app

        from fragcache.contrib.celery.tasks import warm_batch
    except ImportError as error:
        raise NoQueue(
            f"{CELERY!r} is in INSTALLED_APPS, but: {error}. Install fragcache[celery]."
        ) from error
    if current_app.main == "default" and not current_app.conf.broker_url:
        raise NoQueue(
            f"{CELERY!r} is in INSTALLED_APPS, but there is no Celery app: import it in the "
            "__init__.py of your project."
        )

    def send(run: int, number: int) -> None:
        warm_batch.apply_async(
            kwargs={"run": run, "number": number}, queue=conf.settings().QUEUE or None
        )

    return Queue(send, bool(current_app.conf.task_always_eager))
