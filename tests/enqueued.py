"""What the tests of ``--enqueue`` share: runs in batches, and a queue that a test empties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.functions import Now

from fragcache.models import WarmBatch, WarmRun
from fragcache.warming import Plan
from fragcache.warming.distributed import begin, claims, deliver, work

try:
    from django.tasks.backends.base import BaseTaskBackend
except ImportError:  # Django 5.2
    from django_tasks.backends.base import BaseTaskBackend

#: Messages of HeldBackend that no worker has taken.
held: list[dict[str, int]] = []


class HeldBackend(BaseTaskBackend):
    """Keeps the messages until ``empty`` is called."""

    #: What ``enqueue`` raises.
    error: Exception | None = None

    def enqueue(self, task: Any, args: Any, kwargs: dict[str, int]) -> None:
        self.validate_task(task)
        if self.error is not None:
            raise self.error
        assert not args
        held.append(kwargs)


def empty() -> list[str]:
    """Do what is in the queue, as a worker; return what became of each batch."""
    done = [work(**message) for message in held]
    held.clear()
    return done


@pytest.fixture
def queue(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """The queue of the site, and what is in it."""
    held.clear()
    settings.TASKS = {"default": {"BACKEND": f"{__name__}.HeldBackend"}}
    return held


class Sent(list[tuple[int, int]]):
    """A queue for ``deliver`` and ``renew``."""

    def __call__(self, run: int, number: int) -> None:
        self.append((run, number))

    def work(self) -> list[str]:
        """Do what was sent; return what became of each batch."""
        messages = list(self)
        self.clear()
        return [work(*message) for message in messages]


def begun(*fragments: Any, options: dict[str, Any] | None = None, **plan: Any) -> WarmRun:
    """Begin a run."""
    options = {"enqueue": True, "batch_size": plan.get("batch_size", 500)} | (options or {})
    return begin(Plan(fragments=fragments, **plan), options)


def delivered(*fragments: Any, **given: Any) -> tuple[WarmRun, Sent]:
    """Begin a run, and return it with its messages."""
    run, sent = begun(*fragments, **given), Sent()
    deliver(run, sent)
    return run, sent


def age(run: WarmRun, seconds: float, **only: Any) -> None:
    """Let signs of a run's batches be so much older."""
    moment = Now() - claims.timedelta(seconds=seconds)
    for field in ("sent_at", "claimed_at", "beat_at"):
        run.batches.filter(**only, **{f"{field}__isnull": False}).update(**{field: moment})


def batch(run: WarmRun, number: int = 1) -> WarmBatch:
    return run.batches.get(number=number)


def ended(run: WarmRun) -> WarmRun:
    """Return a run as it is now."""
    run.refresh_from_db()
    return run


Declare = Callable[..., Any]
