"""Stampedes: what many visitors of one cold fragment were answered, and by how many renders."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lines import LineProcess
from tests.test_warm_processes import Shop

#: Seconds that a render takes.
RENDER = 0.2
PROCESSES = 16
#: Of a thread each, and one process of 32 threads.
CROWD = [32, *[1] * 32]
#: Seconds after which a visitor is given up.
CAP = 20


@dataclass(frozen=True)
class Stampede:
    """What became of a stampede; the visitors that were killed are not in it."""

    answers: list[dict[str, Any]]
    counted: list[dict[str, int]]
    #: The process of each render, in their order.
    renders: list[int]
    killed: int | None
    #: How many leases are left.
    leases: int
    #: The share of the machine's processors that went to others meanwhile.
    others: float

    @property
    def slowest(self) -> float:
        return float(max(answer["seconds"] for answer in self.answers))

    @property
    def html(self) -> set[str]:
        return {answer["html"] for answer in self.answers}

    def count(self, event: str) -> int:
        return sum(counts.get(event, 0) for counts in self.counted)


class Herd(LineProcess):
    """A process that forks stampedes over one cache; a context manager."""

    def __init__(self, shop: Shop, directory: Path) -> None:
        super().__init__("tests.herd", shop.environment)
        self._directory = directory

    def check_kill(self, seconds: float) -> Stampede:
        """Kill the renderer so many seconds after it began; check what the others are answered."""
        stampede = self.run(kill_after=seconds)
        assert stampede.killed == stampede.renders[0]
        assert stampede.html == {"1"}
        assert stampede.count("stored") <= 1, "who gives up stores nothing"
        return stampede

    def run(self, fragment: str = "herd.versioned", **task: Any) -> Stampede:
        """Return what became of a stampede on a cold cache: of so many threads by process."""
        prefix = uuid.uuid4().hex[:12]
        given = {
            "threads": [1] * PROCESSES,
            "render": RENDER,
            "usual": None,
            "kill_after": None,
            "knows_tokens": True,
            # However busy the machine is, a page waits for its cache.
            "settings": {"PAGE_BUDGET": None},
        }
        given |= task | {"fragment": fragment, "prefix": prefix, "cap": CAP}
        given |= {"log": str(self._directory / prefix)}
        found = self.ask(given)
        living = [one for one in found["visitors"] if one["pid"] != found["killed"]]
        answers = [answer for visitor in living for answer in visitor["answers"]]
        number = sum(given["threads"]) - (found["killed"] is not None)
        assert len(answers) == number, "somebody was not answered"
        return Stampede(
            answers=answers,
            counted=[visitor["counted"] for visitor in living],
            renders=found["renders"],
            killed=found["killed"],
            leases=found["leases"],
            others=found["others"],
        )
