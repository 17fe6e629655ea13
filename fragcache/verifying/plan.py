"""A plan: what is to be verified, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fragcache import axes
from fragcache.declarations import Fragment

#: How many instances of each fragment are looked at unless told otherwise.
SAMPLE: Final = 100
#: How many are read and rendered at a time; their HTML is in memory at once.
BATCH_SIZE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPlan:
    """What is to be verified; the same ``seed`` chooses the same instances of the same items."""

    fragments: Sequence[Fragment]
    seed: int
    using: str | None = None
    #: Axis values to verify instead of all.
    axis_values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    #: Instances of each fragment, but at least one item with all choices and axis values.
    #: None: all.
    sample: int | None = SAMPLE
    batch_size: int = BATCH_SIZE

    def combinations(self, fragment: Fragment) -> list[dict[str, Any]]:
        """Return the combinations of axis values that a fragment is verified under."""
        chosen = {name: v for name, v in self.axis_values.items() if name in fragment.axes}
        return axes.combinations(fragment.axes, chosen)
