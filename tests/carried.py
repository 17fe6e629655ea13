"""A site whose items are objects of its own, which carry what was read when they were listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fragcache import invalidate, invalidate_all
from tests.fixtures import elsewhere

NAME = "library.row"


class Row:
    """An object of the site's own, with what it was made of."""

    def __init__(self, number: int, value: str) -> None:
        self.number = number
        self.value = value

    def fragment_identity(self) -> int:
        return self.number

    def __reduce__(self) -> Any:
        return Row, (self.number, self.value)


class Site:
    """Three rows of a value that changes, listed and rendered now and then."""

    def __init__(self) -> None:
        self.value = "old"
        self.listings = 0
        self.rendered: list[tuple[int, str]] = []
        #: What happens as soon as the rows were listed.
        self.meanwhile: Callable[[], object] = lambda: None

    def rows(self) -> list[Row]:
        self.listings += 1
        found = [Row(number, self.value) for number in range(3)]
        self.meanwhile()
        return found

    def change(self, number: int | None = 1) -> None:
        """Change the value and tell of one row, or of all, in another process."""
        self.value += "er"
        with elsewhere():
            if number is None:
                invalidate_all(NAME)
            else:
                invalidate(NAME, Row(number, ""))

    def change_once(self, number: int | None = 1) -> None:
        self.meanwhile = lambda: None
        self.change(number)
