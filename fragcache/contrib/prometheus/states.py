"""States as metrics: whether caches answer, which guards are open, and when runs ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from fragcache.models import WarmRun
from fragcache.stats.answering import Answer, ask_all
from fragcache.stats.condition import known_aliases, latest_runs, open_guards, recent_outages

_PURPOSES: Final = ("reading", "writing")


class State(NamedTuple):
    """What is told of caches and runs."""

    answers: Sequence[Answer]
    #: How many processes have open guards, by alias and purpose.
    guards: Mapping[tuple[str, str], int]
    #: Outages of single processes that began within the last day, likewise.
    outages: Mapping[tuple[str, str], int]
    #: The run of each status that ended last.
    runs: Mapping[str, WarmRun]


NOTHING: Final = State([], {}, {}, {})


def now() -> State:
    """Ask caches and database, the caches for no longer than ``answering.HURRY``."""
    guards = open_guards()
    answers = ask_all(known_aliases(guards))
    none = {(answer.alias, purpose): 0 for answer in answers for purpose in _PURPOSES}
    counts = {about: guard.processes for about, guard in guards.items()}
    return State(answers, {**none, **counts}, {**none, **recent_outages()}, latest_runs())


def families(state: State) -> Iterator[Metric]:
    """Yield the metrics of a state."""
    yield from _of_caches(state.answers)
    yield _gauge(
        "guard_open",
        "Processes that leave the cache alone, since it did not answer.",
        ["alias", "purpose"],
        state.guards,
    )
    yield _gauge(
        "outages_last_day",
        "Outages that processes recorded within the last day.",
        ["alias", "purpose"],
        state.outages,
    )
    yield from _of_runs(state.runs)


def _of_caches(answers: Sequence[Answer]) -> Iterator[Metric]:
    yield _gauge(
        "cache_up",
        "Whether the cache answers the process that is asked for metrics.",
        ["alias"],
        {(answer.alias,): float(answer.took is not None) for answer in answers},
    )
    yield _gauge(
        "cache_answer_seconds",
        "How long the cache took to answer.",
        ["alias"],
        {(one.alias,): one.took for one in answers if one.took is not None},
    )


def _of_runs(runs: Mapping[str, WarmRun]) -> Iterator[Metric]:
    ended = {
        (status,): (run.started_at, run.finished_at)
        for status, run in runs.items()
        if run.finished_at is not None
    }
    yield _gauge(
        "warm_run_finished_timestamp_seconds",
        "When the last run of warm_fragments with this status ended.",
        ["status"],
        {labels: end.timestamp() for labels, (_began, end) in ended.items()},
    )
    yield _gauge(
        "warm_run_duration_seconds",
        "How long that run took.",
        ["status"],
        {labels: (end - began).total_seconds() for labels, (began, end) in ended.items()},
    )


def _gauge(name: str, said: str, labels: Sequence[str], found: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"fragcache_{name}", said, labels=labels)
    for values, number in found.items():  # keyed by a text for each label
        family.add_metric(values, number)
    return family
