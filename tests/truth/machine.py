"""The state machine: Hypothesis chooses what happens next."""

from __future__ import annotations

from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.truth.chances import HAPPENINGS, PLACES
from tests.truth.happenings import Happening
from tests.truth.site import Shown
from tests.truth.visiting import settle
from tests.truth.world import World


class Machine(RuleBasedStateMachine):
    """Everything that can happen to a site, in any order.

    One rule for all of it: of many, Hypothesis switches half off in each example, and what is to
    be found takes four or five kinds of event.
    """

    world: ClassVar[World]
    #: How many there were, and how many steps they took.
    examples: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = self.has_failed = False
        self.world.begin()

    @initialize(focus=PLACES)
    def begins(self, focus: Shown) -> None:
        self.world.focus = focus

    @rule(event=HAPPENINGS)
    def happens(self, event: Happening) -> None:
        if not self.has_begun:
            self.has_begun = True
            type(self).examples += 1
        type(self).steps += self.examples > 1  # the first example is always the same
        try:
            event.occur(self.world)
        except BaseException:
            self.has_failed = True
            raise

    def teardown(self) -> None:
        if not self.has_failed:
            settle(self.world)
