"""Widths: whether a key tells apart too little, or more than what its outputs tell apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fragcache import axes
from fragcache.declarations import Fragment
from fragcache.keys import encode_arguments, encode_axes
from fragcache.slots import Slot
from fragcache.verifying.findings import Finding, Kind, axes_text, call_of, difference
from fragcache.verifying.fresh import render, slots_of
from fragcache.verifying.perturbing import Perturbation, perturbations, remedy
from fragcache.verifying.report import Verified
from fragcache.warming.units import Versioned

#: Fewer instances than these say nothing about what changes no output.
LEAST: Final = 10
#: How many renders have to be equal, on both sides, before what is around them made the difference.
RENDERS: Final = 3


@dataclass(slots=True)
class Narrowness:
    """Looks for what changes outputs without being in the key."""

    fragment: Fragment
    verified: Verified
    _found: set[str] = field(default_factory=set)
    #: None until the first batch.
    _perturbations: list[Perturbation] | None = None

    def look(
        self,
        instances: Versioned,
        axis_values: Mapping[str, Any],
        html: Mapping[str, str],
    ) -> None:
        """Render a batch again under the axis values in force and other values of other axes."""
        every = slots_of(self.fragment, instances, axis_values)
        slots = [s for s in every if s.base in html]
        if self._perturbations is None:
            self._perturbations = perturbations(self.fragment)
        for perturbation in self._perturbations:
            if perturbation.name in self._found or not slots:
                continue
            with perturbation.entered():
                changed = render(self.fragment, slots).html
            differing = [s for s in slots if changed.get(s.base, html[s.base]) != html[s.base]]
            sure = [s for s in differing[:LEAST] if self._is_sure(s, perturbation, html, changed)]
            if sure:
                self._found.add(perturbation.name)
                self._report(sure[0], perturbation, axis_values, html, changed)

    def _is_sure(
        self,
        slot: Slot,
        perturbation: Perturbation,
        html: Mapping[str, str],
        changed: Mapping[str, str],
    ) -> bool:
        """Whether it is the perturbation that makes the difference, and not the data or chance."""
        for _time in range(RENDERS):
            with perturbation.entered():
                again = render(self.fragment, [slot]).html
            usual = render(self.fragment, [slot]).html
            if (
                again.get(slot.base) != changed[slot.base]
                or usual.get(slot.base) != html[slot.base]
            ):
                return False
        return True

    def _report(
        self,
        slot: Slot,
        perturbation: Perturbation,
        axis_values: Mapping[str, Any],
        html: Mapping[str, str],
        changed: Mapping[str, str],
    ) -> None:
        base, name = slot.base, perturbation.name
        finding = Finding(
            kind=Kind.TOO_NARROW,
            fragment=self.fragment.name,
            instance=call_of(self.fragment, slot.instance.arguments),
            axes=axes_text(axis_values),
            about=f"The output depends on the axis {name!r}, which is not in the key.",
            remedy=remedy(self.fragment, name),
            diff=difference(html[base], changed[base], "stored for all", perturbation.text),
        )
        self.verified.add(finding)


@dataclass(slots=True)
class Wideness:
    """Looks for what is in the key and changes no output."""

    fragment: Fragment
    #: By axis or parameter, how many instances had several values of it; and which made a
    #: difference.
    _compared: Counter[str] = field(default_factory=Counter)
    _telling: set[str] = field(default_factory=set)
    #: Of the batch at hand: by axis or parameter, and all the rest, the outputs by value.
    _outputs: dict[tuple[str, str], dict[str, int]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def note(
        self, instances: Versioned, axis_values: Mapping[str, Any], html: Mapping[str, str]
    ) -> None:
        """Take in the outputs of a batch under one set of axis values."""
        for slot in slots_of(self.fragment, instances, axis_values):
            if slot.base not in html:
                continue
            output = hash(html[slot.base])
            for name in axis_values:
                others = encode_axes({n: v for n, v in axis_values.items() if n != name})
                rest = f"{slot.instance.encoded}:{others}"
                self._outputs[name, rest][encode_axes({name: axis_values[name]})] = output
            for name, value, rest in self._choices(slot.instance.arguments):
                self._outputs[name, f"{rest}:{encode_axes(axis_values)}"][value] = output

    def end_batch(self) -> None:
        """Compare what was noted, and forget it."""
        for (name, _rest), by_value in self._outputs.items():
            if len(by_value) > 1:
                self._compared[name] += 1
            if len(set(by_value.values())) > 1:
                self._telling.add(name)
        self._outputs.clear()

    def findings(self) -> list[Finding]:
        """Return advice on what changed no output."""
        return [
            Finding(
                kind=Kind.TOO_WIDE,
                fragment=self.fragment.name,
                about=f"{self._named(name)} changed none of the outputs of {number:,} instances.",
                remedy=self._remedy(name),
            )
            for name, number in self._compared.items()
            if name not in self._telling and number >= LEAST
        ]

    def _choices(self, arguments: Sequence[Any]) -> list[tuple[str, str, str]]:
        """Return each argument that has choices, as keys have it, with those beside it."""
        parameters = self.fragment.parameters
        if not self.fragment.choices:
            return []
        values = parameters.canonical(arguments)
        positions = [parameters.names.index(name) for name in self.fragment.choices]
        return [
            (
                f"{parameters.names[n]}=",
                encode_arguments([values[n]]),
                encode_arguments([*values[:n], *values[n + 1 :]]),
            )
            for n in positions
        ]

    def _named(self, name: str) -> str:
        if name.endswith("="):
            return f"The argument {name.removesuffix('=')!r}"
        return f"The axis {name!r}"

    def _remedy(self, name: str) -> str:
        fragment = self.fragment
        if name.endswith("="):
            return "If that holds for all, take it out: one entry then serves all its values."
        if name in fragment.vary_on:
            names = [other for other in fragment.vary_on if other != name]
        else:
            names = [*fragment.vary_on, f"{axes.REFUSAL}{name}"]
        return (
            f"If that holds for all, declare vary_on={names!r}: one entry then serves all values."
        )
