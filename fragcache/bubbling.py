"""Bubbling: what an outer fragment takes over from the fragments that its render shows."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Shown:
    """What was shown while something rendered."""

    #: Templates that were included by a variable.
    includes: set[str] = field(default_factory=set)
    #: Whether something was shown that must not be kept.
    has_unstorable: bool = False
    #: The axes of the fragments that were shown.
    axes: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        return not (self.includes or self.has_unstorable or self.axes)

    def take_over(self, other: Shown) -> None:
        self.includes |= other.includes
        self.has_unstorable |= other.has_unstorable
        self.axes |= other.axes

    def together_with(self, other: Shown) -> Shown:
        both = Shown()
        both.take_over(self)
        both.take_over(other)
        return both


_shown: ContextVar[Shown | None] = ContextVar("fragcache_shown", default=None)


class recorded:
    """Record what is shown within; an outer recording takes it over."""

    __slots__ = ("_inner", "_outer", "_reset")

    def __enter__(self) -> recorded:
        self._outer = _shown.get()
        self._inner = Shown()
        self._reset = _shown.set(self._inner)
        return self

    def part(self) -> Shown:
        """Return what was shown since it began, or since the part before; not to be changed."""
        part = self._inner
        if not part.is_empty:  # optimisation: most show nothing of note, and one record does
            self._hand_over()
            self._inner = Shown()
            _shown.set(self._inner)
        return part

    def __exit__(self, *_error: object) -> None:
        _shown.reset(self._reset)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._outer is not None:
            self._outer.take_over(self._inner)


def is_recording() -> bool:
    """Whether what is shown now is shown inside of a render."""
    return _shown.get() is not None


def note_includes(template_names: Iterable[str]) -> None:
    """Tell the render that shows it which templates a fragment chose by a variable."""
    if (shown := _shown.get()) is not None:
        shown.includes.update(template_names)


def note_axes(names: Iterable[str]) -> None:
    """Tell the render that shows it what a fragment varies on."""
    if (shown := _shown.get()) is not None:
        shown.axes.update(names)


def note_unstorable() -> None:
    """Tell the render that shows it that a fragment may be stored nowhere."""
    if (shown := _shown.get()) is not None:
        shown.has_unstorable = True
