"""Listing: when items that carry data were read, and under which tokens they may be stored then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fragcache.declarations import Fragment
from fragcache.slots import Slot, token_names
from fragcache.tokens import Tokens

#: How often items are listed to find some of them between two invalidations.
MOST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One reading of items that no render loads anew: rows and plain values are none of them.

    What they show was read before the tokens were. Hence they are stored under tokens alone that
    stood before the listing began; the others are listed once more, when theirs are known.
    """

    #: ``time.monotonic()``, which is the same for all processes of a machine.
    began: float
    #: Microseconds since 1970 UTC.
    began_at: int
    #: How many listings there were before.
    number: int = 0
    #: By the base of their keys, the tokens that were read before it: of all that it is about,
    #: unless it is the first.
    known: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def is_last(self) -> bool:
        return self.number + 1 == MOST

    def chosen(self, slots: Mapping[str, Slot]) -> list[Slot]:
        """Return the slots that it is about."""
        return [slot for base, slot in slots.items() if not self.number or base in self.known]

    def withhold(self, fragment: Fragment, slots: Iterable[Slot], tokens: Tokens) -> None:
        """Take from slots the tokens that may be younger than their items."""
        for slot in slots:
            names = token_names(fragment, slot.instance.encoded)
            if self.known.get(slot.base) != slot.tokens and not tokens.were_known(
                names, self.began, self.began_at
            ):
                slot.current, slot.tokens = slot.tokens, None
