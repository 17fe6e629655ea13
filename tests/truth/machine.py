"""The state machine: Hypothesis chooses what happens next."""

from __future__ import annotations

from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.truth.happenings import HAPPENINGS, Happening
from tests.truth.visiting import settle
from tests.truth.world import World


class Machine(RuleBasedStateMachine):
    """Everything that can happen to a site, in any order.

    One rule for all of it: of many, Hypothesis switches half off in each example, and what is to
    be found takes four or five kinds of event.
    """

    world: ClassVar[World]
    #: How many were made, and how many steps they took.
    examples: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self.world.begin()

    @rule(event=HAPPENINGS)
    def happens(self, event: Happening) -> None:
        type(self).steps += 1
        event.occur(self.world)

    def teardown(self) -> None:
        settle(self.world)
