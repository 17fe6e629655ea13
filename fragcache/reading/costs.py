"""What renders cost, as this process has seen it, and whether it spares others one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Seconds of one render from which on a lease, which takes three round trips, is worth it.
WORTH_A_LEASE: Final = 0.001
_WEIGHT: Final = 0.25

#: By name, seconds of one render; what is newer counts more.
_usual: dict[str, float] = {}
#: Of which what was rendered last could not be stored.
_unstorable: set[str] = set()


def note(name: str, microseconds: Iterable[int], *, are_storable: bool) -> None:
    """Learn from renders, and whether all of them could be stored."""
    costs = list(microseconds)
    if not costs:
        return
    cost = sum(costs) / len(costs) / 1_000_000
    former = _usual.get(name, cost)
    _usual[name] = former + _WEIGHT * (cost - former)
    if are_storable:
        _unstorable.discard(name)
    else:
        _unstorable.add(name)


def usual(name: str) -> float | None:
    """Return the seconds that a render usually takes, None before the first one."""
    return _usual.get(name)


def are_worth_a_lease(name: str) -> bool:
    """Whether a fragment's renders are dear, or unknown, and can be stored for others."""
    cost = _usual.get(name)
    return name not in _unstorable and (cost is None or cost >= WORTH_A_LEASE)


def forget() -> None:
    """Forget all."""
    _usual.clear()
    _unstorable.clear()
