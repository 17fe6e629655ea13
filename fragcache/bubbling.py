"""Bubbling: what an outer fragment takes over from the fragments that its render shows."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from fragcache.dependencies import Dependency


@dataclass(slots=True)
class Shown:
    """What was shown while something rendered."""

    #: Templates that were included by a variable.
    includes: set[str] = field(default_factory=set)
    #: Whether something was shown that must not be kept.
    has_unstorable: bool = False
    #: The axes of the fragments that were shown.
    axes: set[str] = field(default_factory=set)
    #: The inner instances, and the state that they were shown in.
    dependencies: set[Dependency] = field(default_factory=set)
    #: Until when all of them are fresh, in microseconds since 1970 UTC; 0 is without end.
    fresh_until: int = 0

    @property
    def is_empty(self) -> bool:
        return not (
            self.includes
            or self.has_unstorable
            or self.axes
            or self.dependencies
            or self.fresh_until
        )

    def take_over(self, other: Shown) -> None:
        self.includes |= other.includes
        self.has_unstorable |= other.has_unstorable
        self.axes |= other.axes
        self.dependencies |= other.dependencies
        self.fresh_until = earliest(self.fresh_until, other.fresh_until)

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


def note_dependencies(dependencies: Iterable[Dependency]) -> None:
    """Tell the render that shows it which inner instances a fragment shows."""
    if (shown := _shown.get()) is not None:
        shown.dependencies.update(dependencies)


def note_end(fresh_until: int) -> None:
    """Tell the render that shows it until when a fragment is fresh; 0 is without end."""
    if (shown := _shown.get()) is not None:
        shown.fresh_until = earliest(shown.fresh_until, fresh_until)


def note_unstorable() -> None:
    """Tell the render that shows it that a fragment may be stored nowhere."""
    if (shown := _shown.get()) is not None:
        shown.has_unstorable = True


def earliest(first: int, second: int) -> int:
    """Return the earlier of two ends, of which 0 is none."""
    return min(first, second) if first and second else first or second
