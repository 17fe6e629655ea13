"""The base class of axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Final

from django.http import HttpRequest

#: What ``activate`` may return where the value is in force: a page without it costs nothing.
IN_FORCE: Final = nullcontext()
#: So many values are listed to who has named none of them; of more, a few.
_LISTED: Final = 100


class Axis:
    """One ambient thing: subclass it and list its path in ``FRAGCACHE["AXES"]``."""

    name: ClassVar[str]

    def current(self, request: HttpRequest | None) -> Any:
        """Return the value in force; ``request`` is None outside of one."""
        raise NotImplementedError

    def values(self) -> Iterable[Any]:
        """Return the values to warm."""
        raise NotImplementedError

    def activate(self, value: Any) -> AbstractContextManager[Any]:
        """Return a context manager within which ``value`` is in force."""
        raise NotImplementedError

    def to_text(self, value: Any) -> str:
        """Return the text from which ``from_text`` makes the value again."""
        return str(value)

    def from_text(self, text: str) -> Any:
        """Return the value that ``--axis NAME=TEXT`` names, or that ``to_text`` has written.

        Raises:
            ValueError: with what is allowed.
        """
        known = {self.to_text(value): value for value in self.values()}
        if text not in known:
            raise ValueError(_none_of(list(known)))
        return known[text]


def _none_of(known: Sequence[str]) -> str:
    if not known:
        return "it is none of its values: it has none"
    if len(known) > _LISTED:
        return f"it is none of its {len(known):,} values, such as {', '.join(known[:3])}"
    return f"it is none of {', '.join(known)}"
