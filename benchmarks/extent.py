"""How much one run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured."""

    sizes: tuple[int, ...]
    rounds: int

    def rounds_of(self, n: int) -> int:
        """Return the rounds of a page: a third for those that take seconds."""
        return self.rounds if n <= 100 else max(3, self.rounds // 3)

    @property
    def words(self) -> str:
        """Return a sentence that says how the run was made."""
        if max(self.sizes) <= 100:
            return f"{self.rounds} rounds."
        return f"{self.rounds} rounds, {self.rounds_of(max(self.sizes))} of them for N=1,000."

    @property
    def rounds_of_warming(self) -> int:
        return max(3, self.rounds // 10)
