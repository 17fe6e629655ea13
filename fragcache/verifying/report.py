"""The report: what was looked at and found, per fragment and in all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from fragcache.verifying.findings import Finding, Kind

FORMAT: Final = 1
#: Of each fragment so many findings are kept in memory; all are counted.
MOST_FINDINGS: Final = 1_000


@dataclass(slots=True)
class Tally:
    """Counts of one fragment's instances, and the seconds they took."""

    #: Looked at; of these, compared with a stored entry that is current.
    instances: int = 0
    compared: int = 0
    missing: int = 0
    stale: int = 0
    wrong: int = 0
    outdated: int = 0
    not_deterministic: int = 0
    #: Changed at each attempt, or gone.
    skipped: int = 0
    #: Whose render raised an exception.
    failed: int = 0
    #: What is not in the key and changes outputs; what is in it and changes none.
    too_narrow: int = 0
    too_wide: int = 0
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        """How many of what was found must not be."""
        return self.wrong + self.not_deterministic + self.too_narrow + self.failed

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            *(getattr(self, part.name) + getattr(other, part.name) for part in fields(Tally))
        )


@dataclass(slots=True)
class Verified:
    """What became of one fragment."""

    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)
    #: Why there is nothing to be verified of it.
    note: str = ""

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it while there is room."""
        name = finding.kind.replace(" ", "_")
        setattr(self.tally, name, getattr(self.tally, name) + 1)
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    @property
    def left_out(self) -> int:
        """How many findings were counted and not kept."""
        tally = self.tally
        found = sum(getattr(tally, kind.replace(" ", "_")) for kind in Kind)
        return int(found) - len(self.findings)


@dataclass(slots=True)
class Report:
    """What became of all of them."""

    fragments: dict[str, Verified] = field(default_factory=dict)
    is_interrupted: bool = False

    @property
    def totals(self) -> Tally:
        return sum((verified.tally for verified in self.fragments.values()), Tally())

    def faults(self, *, strict: bool) -> int:
        """How many findings must not be; ``strict`` counts what is outdated as well."""
        totals = self.totals
        return totals.faults + (totals.outdated if strict else 0)

    def as_document(self, *, seed: int, sample: int | None, strict: bool) -> dict[str, Any]:
        """Return it as JSON takes it."""
        status = "wrong" if self.faults(strict=strict) else "ok"
        return {
            "format": FORMAT,
            "status": "interrupted" if self.is_interrupted else status,
            "seed": seed,
            "sample": "all" if sample is None else sample,
            "fragments": {name: _described(found) for name, found in self.fragments.items()},
            "totals": _rounded(self.totals),
        }


def _described(verified: Verified) -> dict[str, Any]:
    return {
        **_rounded(verified.tally),
        "note": verified.note,
        "findings": [finding.as_document() for finding in verified.findings],
        "findings_left_out": verified.left_out,
    }


def _rounded(tally: Tally) -> dict[str, Any]:
    return asdict(tally) | {"seconds": round(tally.seconds, 3)}
