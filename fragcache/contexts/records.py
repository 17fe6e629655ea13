"""Records: what a template meets on a target in place of models, querysets and dataclasses.

They hold what the source had loaded, and call nothing. What it had not loaded is an error that
says where it was looked for and what would load it, where a model would have asked the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, overload

from fragcache.contexts.paths import path_to
from fragcache.exceptions import NotLoaded
from fragcache.suggestions import did_you_mean

#: What would have loaded an attribute, and how that is said.
REMEDIES: Final = {
    "select_related": "was not loaded by the source: add select_related({name!r})",
    "prefetch_related": "was not loaded by the source: add prefetch_related({name!r})",
    "defer": "was deferred by the source: take it out of defer(), or add it to only()",
    "expose": (
        "is a property or method of {kind}, which the source did not publish: add "
        "expose=[{name!r}] to the fragment"
    ),
}
_MISSING: Final = object()


class RecordKind:
    """What the records of one model, or dataclass, have in common in one snapshot."""

    __slots__ = ("is_row", "keys", "label", "name", "root", "unloaded")

    def __init__(
        self,
        label: str,
        name: str,
        *,
        is_row: bool,
        unloaded: Mapping[str, str],
        keys: Mapping[str, str],
        root: Any,
    ) -> None:
        self.label = label
        self.name = name
        self.is_row = is_row
        #: What would have loaded an attribute: a key of REMEDIES.
        self.unloaded = unloaded
        #: Relations that were not loaded, and the attribute that is None where they are empty.
        self.keys = keys
        #: The context, in which the path to a record is looked for.
        self.root = root


class Record:
    """One row of a model, or one dataclass; its attributes are also items.

    Records of one model are equal where their primary keys are, also to the model's own rows.
    """

    __slots__ = ("__dict__", "_absent", "_kind", "_methods", "_pk", "_text")

    _kind: RecordKind
    _pk: Any
    _text: str | None
    #: Attributes whose values could not be published, and why.
    _absent: Mapping[str, str]
    #: What methods without arguments returned.
    _methods: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "pk" and self._kind.is_row:
            return self._pk
        if name in self._methods:
            return _method(self._methods[name])
        key = self._kind.keys.get(name)
        if key is not None and self.__dict__.get(key, _MISSING) is None:
            return None
        if name in self._absent:
            raise NotLoaded(self._absent[name])
        if name in self._kind.unloaded:
            remedy = REMEDIES.get(self._kind.unloaded[name], "was not published by the source")
            self._refuse(name, remedy.format(name=name, kind=self._kind.name))
        known = [*self.__dict__, *self._methods]
        raise AttributeError(
            f"{self._kind.name} has no attribute {name!r}.{did_you_mean(name, known)} The source "
            f"published {', '.join(sorted(known))}."
        )

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            pass
        if not isinstance(name, str):
            raise KeyError(name)
        try:
            return self.__getattr__(name)
        except AttributeError as error:
            raise KeyError(*error.args) from None

    #: Items make nothing that could be walked.
    __iter__ = None
    __contains__ = None

    def __str__(self) -> str:
        if self._text is None:
            raise NotLoaded(
                f"{self._path()} has no text: on the source, {self._kind.name}.__str__() needs "
                "what was not loaded. Add it to select_related()."
            )
        return self._text

    def __repr__(self) -> str:
        if self._kind.is_row:
            return f"<{self._kind.name}: {self._text or self._pk}>"
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{self._kind.name}({values})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not self._kind.is_row:
            return (
                isinstance(other, Record)
                and other._kind.label == self._kind.label
                and other.__dict__ == self.__dict__
            )
        label, pk = _identity(other)
        return self._pk is not None and label == self._kind.label and pk == self._pk

    def __hash__(self) -> int:
        if self._pk is None:
            raise TypeError(f"{self!r} has no primary key, so it is unhashable.")
        return hash(self._pk)  # as of a model's row

    def _refuse(self, name: str, problem: str) -> NoReturn:
        raise NotLoaded(f"{self._path()}.{name} {problem}.")

    def _path(self) -> str:
        return path_to(self, self._kind.root) or self._kind.name.lower()


class Records(Sequence[Any]):
    """What a queryset or related manager selected: a list with the methods of theirs that
    templates call.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = list(values)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: int | slice) -> Any:
        found = self._values[index]
        return Records(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Records {self._values!r}>"

    def all(self) -> Records:
        return self

    def count(self, *values: Any) -> int:
        """Return how many there are, as a queryset does; of a value, how often it is there."""
        return self._values.count(*values) if values else len(self._values)

    def exists(self) -> bool:
        return bool(self._values)

    def first(self) -> Any:
        return self._values[0] if self._values else None

    def last(self) -> Any:
        return self._values[-1] if self._values else None

    def iterator(self) -> Iterator[Any]:
        return iter(self._values)


def _method(value: Any) -> Callable[[], Any]:
    return lambda: value


def _identity(other: object) -> tuple[str, Any]:
    """Return the label and primary key of a record or of a model's row."""
    if isinstance(other, Record):
        return other._kind.label, other._pk
    concrete = getattr(getattr(type(other), "_meta", None), "concrete_model", None)
    return ("", None) if concrete is None else (concrete._meta.label_lower, other.pk)  # type: ignore[attr-defined]
