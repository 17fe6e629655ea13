"""Probing: whether a cache answers as fast as pages need it, asked while no page waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.core.cache import caches

from fragcache import conf, deadline
from fragcache.backends.base import FragmentBackend

#: What is looked for, and not found.
KEY: Final = "fc1!probe"
#: In how many seconds it must answer, a connection included, and on an open one where no page has
#: a budget.
SECONDS: Final = 1.0


def ask(backend: FragmentBackend, question: Callable[[], object]) -> None:
    """Ask twice, in a thread of its own, whose connections are closed then.

    Raises:
        Exception: of the client's: it fails, or would keep pages waiting; a refusal is an answer.
    """
    budget = conf.settings().PAGE_BUDGET
    try:
        # The first one may have to connect.
        for seconds in (SECONDS, SECONDS if budget is None else budget / 2):
            with deadline.within(seconds):
                question()
    except backend.errors as error:
        if not backend.refuses(error):
            raise
    finally:
        caches.close_all()
