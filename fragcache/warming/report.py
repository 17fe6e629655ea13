"""The report of a run: what was planned and done, per fragment and in all."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

FORMAT: Final = 1
#: How many reasons of refusals are named.
_NAMED_REASONS: Final = 5


class Status(StrEnum):
    """How a run ended."""

    OK = "ok"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    LOCKED = "locked"
    INTERRUPTED = "interrupted"
    UNAVAILABLE = "unavailable"


@dataclass(slots=True)
class Tally:
    """Counts of one fragment's instances, and the seconds they took."""

    planned: int = 0
    fresh: int = 0
    rendered: int = 0
    stored: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def due(self) -> int:
        """How many are missing or stale; after a dry run, what would be rendered."""
        return self.planned - self.fresh

    @property
    def left(self) -> int:
        """How many that were due have not been dealt with."""
        return max(0, self.due - self.rendered - self.failed)

    @property
    def numbers(self) -> dict[str, int]:
        """The counts by name, without the seconds."""
        found: dict[str, int] = asdict(self)
        del found["seconds"]
        return found

    def include(self, other: Tally) -> None:
        """Add the counts of a part."""
        for part in fields(Tally):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            *(getattr(self, part.name) + getattr(other, part.name) for part in fields(Tally))
        )


@dataclass(slots=True)
class Report:
    """One execution of ``warm_fragments``."""

    status: Status = Status.OK
    fragments: dict[str, Tally] = field(default_factory=dict)
    #: By fragment, why the cache refused what it did, and how often.
    refusals: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def totals(self) -> Tally:
        return sum(self.fragments.values(), Tally())

    @property
    def problem(self) -> str:
        """What went wrong, as a sentence; "" where nothing did."""
        if self.status is Status.INTERRUPTED:
            return "Interrupted; what was done is kept."
        if self.status is Status.FAILED:
            totals = self.totals
            return (
                f"{totals.failed:,} failed and {totals.refused:,} were refused by the cache, of "
                f"{totals.planned:,}; the log names them.{self._reasons}"
            )
        return ""

    @property
    def _reasons(self) -> str:
        """What was refused and why, a sentence each, the most frequent reasons first."""
        found = Counter(
            {
                (name, reason): times
                for name, reasons in self.refusals.items()
                for reason, times in reasons.items()
            }
        )
        return "".join(
            f" Refused {times:,} of {name}: {reason.removesuffix('.')}."
            for (name, reason), times in found.most_common(_NAMED_REASONS)
        )

    def as_document(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        return {
            "format": FORMAT,
            "status": str(self.status),
            "fragments": {name: _rounded(tally) for name, tally in self.fragments.items()},
            "totals": _rounded(self.totals),
        }


def _rounded(tally: Tally) -> dict[str, Any]:
    return asdict(tally) | {"seconds": round(tally.seconds, 3)}
