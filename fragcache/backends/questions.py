"""Questions to several servers at once, each answered or given up within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from fragcache.backends.base import ServerStats

#: Seconds, whatever time-outs the client has: a page of figures must open when servers hang.
PATIENCE: Final = 0.9

Question = Callable[[], Mapping[str, Any]]


def ask_all(questions: Mapping[str, Question], seconds: float = PATIENCE) -> list[ServerStats]:
    """Return the figures that each question answers with, by address; failures as texts.

    What a server or its client raises here ends here: these figures are for people, who want to
    see which server it is.
    """
    answers: dict[str, ServerStats] = {}
    threads = [
        threading.Thread(target=_ask, args=(address, question, answers), daemon=True)
        for address, question in questions.items()
    ]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [
        answers.get(address)
        or ServerStats(address=address, error=f"No answer within {PATIENCE:g} s.")
        for address in questions
    ]


def _ask(address: str, question: Question, answers: dict[str, ServerStats]) -> None:
    try:
        answers[address] = ServerStats(address=address, figures=question())
    except Exception as error:  # noqa: BLE001 (see ask_all)
        answers[address] = ServerStats(address=address, error=f"{type(error).__name__}: {error}")
