"""What was counted in a span of time, as the pages show it: read once, looked at from all sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fragcache import registry
from fragcache.counters import Sheet, add
from fragcache.events import Event
from fragcache.exceptions import CountsUnavailable
from fragcache.stats import history
from fragcache.stats.history import SPANS, Step
from fragcache.stats.keeping import Sheets
from fragcache.stats.ledger import Account, accounts_of

#: The seconds of a step of each span's charts.
STEPS: Final = {"1h": 60, "24h": 3_600, "7d": 3 * 3_600}
#: What stands for all fragments together; none is called so.
ALL: Final = "(all)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted in the span, of all fragments or of one."""

    span: str
    steps: Sequence[Step]
    #: By fragment and axis values.
    sheets: Sheets
    #: What renders and stores cost where the span has none.
    before: Sheets
    #: Why nothing is known.
    problem: str = ""

    @property
    def seconds(self) -> int:
        return SPANS[self.span]

    @property
    def step(self) -> int:
        """Seconds of one of the steps."""
        return STEPS[self.span]

    def accounts(self, names: Sequence[str] = ()) -> list[Account]:
        """Return the accounts of what was counted, and empty ones of further ``names``."""
        empty: Sheets = {(name, ""): {} for name in names}
        add(empty, self.sheets)
        return accounts_of(empty, self.seconds, before=self.before)

    def accounts_by_axes(self) -> list[Account]:
        return accounts_of(self.sheets, self.seconds, before=self.before, by_axes=True)

    def together(self) -> Account:
        """Return the account of all fragments as if they were one.

        Nothing can be said of what that one saves: renders of different ones differ.
        """
        sums: Sheets = {(ALL, ""): {}}
        for (name, _axes), sheet in self.sheets.items():
            if name:
                add(sums, {(ALL, ""): sheet})
        [account] = accounts_of(sums, self.seconds)
        return account

    def cache_errors(self) -> int:
        """Return how often a cache did not answer, or was not asked since it had not."""
        failures = (Event.CACHE_ERROR, Event.GUARD_OPEN)
        return sum(sheet.get(event, 0) for sheet in self.sheets.values() for event in failures)

    def of(self, name: str) -> Figures:
        """Return what was counted of one fragment."""
        return Figures(
            span=self.span,
            steps=[Step(step.began, _only(name, step.sheets)) for step in self.steps],
            sheets=_only(name, self.sheets),
            before=_only(name, self.before),
            problem=self.problem,
        )

    def by_step(self) -> dict[str, list[dict[str, int]]]:
        """Return what was counted of each fragment in each step, all axis values together."""
        found: dict[str, list[dict[str, int]]] = {}
        for number, step in enumerate(self.steps):
            for (name, _axes), sheet in step.sheets.items():
                rows = found.setdefault(name, [{} for _step in self.steps])
                add({(name, ""): rows[number]}, {(name, ""): sheet})
        return found


def figures(span: str, *, now: int | None = None) -> Figures:
    """Return what all processes have counted; nothing, and why, where nobody knows."""
    about = {"step": STEPS[span], "longer": SPANS["7d"]}
    try:
        steps, before = history.steps_and_sums(SPANS[span], **about, now=now)
    except CountsUnavailable as error:
        return Figures(span=span, steps=[], sheets={}, before={}, problem=str(error))
    sheets: Sheets = {}
    for step in steps:
        add(sheets, step.sheets)
    return Figures(span=span, steps=steps, sheets=sheets, before=before)


def declared_names() -> list[str]:
    return [fragment.name for fragment in registry.all_fragments()]


def _only(name: str, sheets: Mapping[tuple[str, str], Sheet]) -> Sheets:
    return {label: dict(sheet) for label, sheet in sheets.items() if label[0] == name}
