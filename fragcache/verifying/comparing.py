"""Comparing: stored entries with fresh renders, and nothing that merely changes is called wrong.

What differs at first is read and rendered anew, with the version before and after: only what
differs from several equal renders, of one version and beside one entry that stayed, is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fragcache.declarations import Fragment
from fragcache.page import now
from fragcache.slots import Slot
from fragcache.store import Store
from fragcache.verifying.findings import Finding, Kind, axes_text, call_of, difference
from fragcache.verifying.fresh import render, slots_of, with_version_of_now
from fragcache.verifying.report import Verified
from fragcache.verifying.stored import State, Stored, read
from fragcache.warming.units import Versioned

#: How often what differs is looked at again before it is skipped as always changing.
ATTEMPTS: Final = 3
#: How many renders have to be equal before an entry that differs from them is wrong.
RENDERS: Final = 5
#: Seconds before what differs is rendered again, so that what shows the time is told apart; and in
#: how many batches of a fragment this is waited for.
PAUSE: Final = 1.1
MOST_PAUSES: Final = 5

WRONG_REMEDY: Final = (
    "Its version did not move when what it shows did: let version= cover it, or what it shows "
    "touch it. Or something else wrote into the cache. `warm_fragments --force` renders it anew."
)
OUTDATED_REMEDY: Final = (
    "It, or a fragment that it shows, has no version, so it may be as old as that one's time-out: "
    "give that a version, or invalidate it when its data change."
)
UNSTEADY_REMEDY: Final = (
    "What is stored is one of many outputs: take random numbers, the time and CSRF tokens out of "
    "the fragment, and give its queries an order."
)


class Looked(NamedTuple):
    """One look at an instance: what is stored, and what renders gave."""

    stored: Stored
    outputs: tuple[str, ...]


@dataclass(slots=True)
class Comparison:
    """Compares the instances of one fragment, batch by batch, into what is known of it."""

    fragment: Fragment
    cache: Store
    verified: Verified
    _pauses: int = 0

    def compare(self, instances: Versioned, axis_values: Mapping[str, Any]) -> dict[str, str]:
        """Compare a batch under the axis values in force; return the renders by base.

        Raises:
            CacheUnavailable: the cache does not answer.
        """
        tally = self.verified.tally
        slots = slots_of(self.fragment, instances, axis_values)
        stored = dict(
            zip((s.base for s in slots), read(self.fragment, self.cache, slots), strict=True)
        )
        fresh = render(self.fragment, slots)
        tally.instances += len(slots)
        tally.failed += fresh.failed
        tally.skipped += len(slots) - len(fresh.html) - fresh.failed
        suspects, alone = [], []
        for slot in slots:
            if (html := fresh.html.get(slot.base)) is None:
                continue
            if stored[slot.base].state is not State.CURRENT:
                self._count(stored[slot.base].state)
                alone.append(slot)
            elif stored[slot.base].html == html:
                tally.compared += 1
            else:
                suspects.append(slot)
        self._look_for_unsteady(alone, fresh.html, axis_values)
        self._settle(suspects, fresh.html, axis_values)
        return fresh.html

    def _count(self, state: State) -> None:
        tally = self.verified.tally
        if state is State.MISSING:
            tally.missing += 1
        else:
            tally.stale += 1

    def _look_for_unsteady(
        self, slots: Sequence[Slot], html: Mapping[str, str], axis_values: Mapping[str, Any]
    ) -> None:
        """Render once more what there is nothing stored of to compare with."""
        again = render(self.fragment, slots).html if slots else {}
        for slot in slots:
            first, second = html[slot.base], again.get(slot.base)
            if second is not None and first != second and self._is_unmoved(slot):
                self._report_unsteady(slot, first, second, "", axis_values)

    def _is_unmoved(self, slot: Slot) -> bool:
        found = with_version_of_now(self.fragment, [slot])
        return bool(found) and _state(found[0]) == _state(slot)

    def _settle(
        self, suspects: Sequence[Slot], html: Mapping[str, str], axis_values: Mapping[str, Any]
    ) -> None:
        """Say of each instance that differed at first what it is."""
        if suspects and self._pauses < MOST_PAUSES:
            self._pauses += 1
            time.sleep(PAUSE)
        former = {slot.base: (_state(slot), html[slot.base]) for slot in suspects}
        left = list(suspects)
        for _attempt in range(ATTEMPTS):
            if left:
                left = self._settled(left, former, axis_values)
        self.verified.tally.skipped += len(left)

    def _settled(
        self,
        suspects: Sequence[Slot],
        former: Mapping[str, tuple[str | None, str]],
        axis_values: Mapping[str, Any],
    ) -> list[Slot]:
        """Look at instances anew; return those that changed while they were looked at."""
        before = with_version_of_now(self.fragment, suspects)
        self.verified.tally.skipped += len(suspects) - len(before)
        stored = read(self.fragment, self.cache, before)
        rounds = [render(self.fragment, before).html for _time in range(RENDERS)]
        stored_after = read(self.fragment, self.cache, before)
        after = {s.base: _state(s) for s in with_version_of_now(self.fragment, before)}
        left = []
        for slot, first, second in zip(before, stored, stored_after, strict=True):
            outputs = tuple(html[slot.base] for html in rounds if slot.base in html)
            state, at_first = former[slot.base]
            has_stayed = _state(slot) == after.get(slot.base) and first == second
            if not has_stayed or len(outputs) < RENDERS:
                left.append(slot)
                continue
            if state == _state(slot):
                outputs = (at_first, *outputs)
            self._judge(slot, Looked(first, outputs), axis_values)
        return left

    def _judge(self, slot: Slot, looked: Looked, axis_values: Mapping[str, Any]) -> None:
        stored, outputs = looked
        other = next((html for html in outputs if html != outputs[-1]), None)
        if stored.state is not State.CURRENT:
            self._count(stored.state)
            return
        self.verified.tally.compared += 1
        if other is not None:
            self._report_unsteady(slot, other, outputs[-1], stored.key, axis_values)
        elif stored.html != outputs[-1]:
            self._report_wrong(slot, looked, axis_values)

    def _report_wrong(self, slot: Slot, looked: Looked, axis_values: Mapping[str, Any]) -> None:
        stored, outputs = looked
        seconds = max(0, now() - stored.built_at) / 1_000_000
        may_be_late = stored.may_be_late or not self.fragment.is_versioned
        finding = Finding(
            kind=Kind.OUTDATED if may_be_late else Kind.WRONG,
            fragment=self.fragment.name,
            instance=call_of(self.fragment, slot.instance.arguments),
            axes=axes_text(axis_values),
            key=stored.key,
            about=f"What was stored {seconds:,.0f} s ago is not what a render gives now.",
            remedy=OUTDATED_REMEDY if may_be_late else WRONG_REMEDY,
            diff=difference(stored.html, outputs[-1], "stored", "rendered now"),
        )
        self.verified.add(finding)

    def _report_unsteady(
        self, slot: Slot, first: str, second: str, key: str, axis_values: Mapping[str, Any]
    ) -> None:
        finding = Finding(
            kind=Kind.NOT_DETERMINISTIC,
            fragment=self.fragment.name,
            instance=call_of(self.fragment, slot.instance.arguments),
            axes=axes_text(axis_values),
            key=key,
            about="Two renders in a row of the same data differ.",
            remedy=UNSTEADY_REMEDY,
            diff=difference(first, second, "one render", "another render"),
        )
        self.verified.add(finding)


def _state(slot: Slot) -> str | None:
    """Return the version, without the moment at which it was read."""
    return None if slot.version is None else slot.version.encoded
