"""Values of a context that are neither plain nor records, as a target has them."""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString


class File:
    """A file of a FileField: its name, and the URL that the source's storage gave it."""

    __slots__ = ("_url", "name")

    def __init__(self, name: str, url: str | None) -> None:
        self.name = name
        self._url = url

    @property
    def url(self) -> str:
        if self._url is None:
            raise ValueError(f"The source's storage has no URL for the file {self.name!r}.")
        return self._url

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<File: {self.name or 'None'}>"

    def __bool__(self) -> bool:
        return bool(self.name)

    def __eq__(self, other: object) -> bool:
        return getattr(other, "name", other) == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class NamedValues(tuple[Any, ...]):
    """A named tuple."""

    _names: tuple[str, ...]

    @classmethod
    def of(cls, names: list[str], values: list[Any]) -> NamedValues:
        made = cls(values)
        made._names = tuple(names)
        return made

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._names:
            return self[self._names.index(name)]
        raise AttributeError(f"A named tuple of {', '.join(self._names)} has no {name!r}.")

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (tuple(self),)


class Member:
    """A member of an Enum; equal to one of the same name, wherever that is from."""

    enum: str
    name: str
    value: Any
    label: Any
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{self.enum}.{self.name}: {self.value!r}>"

    def __eq__(self, other: object) -> bool:
        return (type(other).__name__, getattr(other, "name", None)) == (self.enum, self.name)

    def __hash__(self) -> int:
        return hash(self.name)  # as of an Enum's


class TextMember(Member, str):
    """One that is text as well, such as of TextChoices."""

    __eq__ = str.__eq__
    __hash__ = str.__hash__


class NumberMember(Member, int):
    """One that is a number as well, such as of IntegerChoices."""

    __eq__ = int.__eq__
    __hash__ = int.__hash__


def member(enum: str, name: str, value: Any, text: str, label: Any, *, is_mixed: bool) -> Member:
    """Return a member; ``is_mixed`` is one that is a text or number itself."""
    made: Member
    if is_mixed and isinstance(value, str):
        made = TextMember(value)
    elif is_mixed and isinstance(value, int):
        made = NumberMember(value)
    else:
        made = Member()
    made.enum, made.name, made.value, made.text, made.label = enum, name, value, text, label
    return made


def html(text: str) -> SafeString:
    """Return text that was safe on the source, and is here: the seal says whose it is."""
    return SafeString(text)
