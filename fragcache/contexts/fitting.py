"""Fitting: values into annotations, with a complaint for each part that does not fit."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, Union, get_args, get_origin

from fragcache.contexts.paths import Step, written
from fragcache.contexts.records import Record
from fragcache.contexts.values import Member
from fragcache.exceptions import NotLoaded

Misfit = str

_MISSING: Final = object()
_SEQUENCES: Final = (list, abc.Sequence, abc.Iterable, abc.Collection)
_SETS: Final = (set, frozenset, abc.Set)
_MAPPINGS: Final = (dict, abc.Mapping)


def fitted(annotation: Any, value: Any, problems: list[Misfit]) -> Any:
    """Return ``value`` as the annotation says; what does not fit is added to ``problems``."""
    return _Fitting(problems).fit(annotation, value)


class _Fitting:
    def __init__(
        self,
        problems: list[Misfit],
        steps: Iterable[Step] = (),
        made: dict[tuple[int, Any], Any] | None = None,
    ) -> None:
        self._problems = problems
        self._steps = list(steps)
        #: What records have become, so that what was shared is shared; None while they become it.
        self._made = {} if made is None else made

    def fit(self, annotation: Any, value: Any) -> Any:
        if annotation is Any or annotation is object:
            return value
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is typing.Annotated:
            return self.fit(args[0], value)
        if hasattr(annotation, "__supertype__"):  # a NewType
            return self.fit(annotation.__supertype__, value)
        if origin is Union or origin is types.UnionType:
            return self._fit_one_of(args, value)
        if origin is Literal:
            return value if value in args else self._is_not(value, annotation)
        kind = origin or annotation
        if kind in _SEQUENCES:
            return self._fit_list(args, value)
        if kind is tuple:
            return self._fit_tuple(args, value)
        if kind in _SETS:
            return self._fit_set(kind, args, value)
        if kind in _MAPPINGS:
            return self._fit_mapping(args, value)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._fit_dataclass(kind, value)
        return self._fit_plain(kind, value)

    def _fit_plain(self, kind: Any, value: Any) -> Any:
        if kind is None or kind is type(None):
            return value if value is None else self._is_not(value, None)
        if not isinstance(kind, type):
            return value  # a type variable, or what else cannot be checked
        if issubclass(kind, Enum):
            given = value.value if isinstance(value, Member | Enum) else value
            try:
                return kind(given)
            except ValueError:
                return self._is_not(value, kind)
        if kind is float and type(value) is int:
            return float(value)
        is_other = (kind is int and isinstance(value, bool)) or (
            kind is dt.date and isinstance(value, dt.datetime)
        )
        return value if isinstance(value, kind) and not is_other else self._is_not(value, kind)

    def _fit_one_of(self, kinds: Sequence[Any], value: Any) -> Any:
        complaints: list[list[Misfit]] = []
        for kind in kinds:
            attempt = _Fitting([], self._steps, self._made)
            found = attempt.fit(kind, value)
            if not attempt._problems:
                return found
            if kind is not type(None):
                complaints.append(attempt._problems)
        if len(complaints) == 1 and value is not None:
            self._problems.extend(complaints[0])  # what is wrong with the only kind that it may be
            return value
        return self._is_not(value, " | ".join(map(_name, kinds)))

    def _fit_list(self, args: Sequence[Any], value: Any) -> Any:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return self._is_not(value, list)
        return self._fit_each(args[0] if args else Any, value)

    def _fit_tuple(self, args: Sequence[Any], value: Any) -> Any:
        if not isinstance(value, tuple):
            return self._is_not(value, tuple)
        if not args or (len(args) == 2 and args[1] is Ellipsis):
            return tuple(self._fit_each(args[0] if args else Any, value))
        if len(args) != len(value):
            return self._complain(f"has {len(value)} values, not {len(args)}", value)
        return tuple(self._at(n, args[n], one) for n, one in enumerate(value))

    def _fit_set(self, kind: Any, args: Sequence[Any], value: Any) -> Any:
        if not isinstance(value, abc.Set):
            return self._is_not(value, kind)
        found = self._fit_each(args[0] if args else Any, list(value))
        return frozenset(found) if kind is frozenset else set(found)

    def _fit_mapping(self, args: Sequence[Any], value: Any) -> Any:
        if not isinstance(value, Mapping):
            return self._is_not(value, dict)
        key_kind, kind = args or (Any, Any)
        return {
            self._at(str(key), key_kind, key): self._at(str(key), kind, one)
            for key, one in value.items()
        }

    def _fit_dataclass(self, kind: Any, value: Any) -> Any:
        if isinstance(value, Mapping):
            given, get = list(value), functools.partial(_item, value)
        elif isinstance(value, Record):
            given = [] if value._kind.is_row else list(vars(value))
            get = functools.partial(_attribute, value)
        else:
            return self._is_not(value, kind)
        name = (id(value), kind)
        if name in self._made:
            made = self._made[name]
            if made is None:
                return self._complain("leads back to itself: annotate it as Record", value)
            return made
        self._made[name] = None
        before = len(self._problems)
        values = self._values(kind, given, get)
        if len(self._problems) > before:
            del self._made[name]
            return value
        made = self._made[name] = kind(**values)
        return made

    def _values(self, kind: Any, given: Sequence[str], get: Callable[[str], Any]) -> dict[str, Any]:
        """Return the arguments of a dataclass; what does not fit is a problem."""
        hints = _hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
        values = {}
        for name, field in fields.items():
            try:
                part = get(name)
            except NotLoaded as error:
                self._problems.append(str(error))
                continue
            if part is not _MISSING:
                values[name] = self._at(name, hints[name], part)
            elif _has_no_default(field):
                self._problems.append(f"{written([*self._steps, name])} is missing")
        for name in given:
            if name not in fields:
                self._problems.append(f"{written([*self._steps, name])} is unexpected")
        return values

    def _fit_each(self, kind: Any, values: Iterable[Any]) -> list[Any]:
        return [self._at(number, kind, one) for number, one in enumerate(values)]

    def _at(self, step: Step, kind: Any, value: Any) -> Any:
        self._steps.append(step)
        found = self.fit(kind, value)
        self._steps.pop()
        return found

    def _is_not(self, value: Any, wanted: Any) -> Any:
        said = repr(value)
        said = said if len(said) <= 50 else f"{said[:47]}..."
        if value is None:
            return self._complain(f"is None, not {_name(wanted)}", value)
        return self._complain(f"is {said} ({type(value).__name__}), not {_name(wanted)}", value)

    def _complain(self, problem: str, value: Any) -> Any:
        self._problems.append(f"{written(self._steps) or 'it'} {problem}")
        return value


def _name(kind: Any) -> str:
    if kind is None or kind is type(None):
        return "None"
    if isinstance(kind, str):
        return kind
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _item(values: Mapping[Any, Any], name: str) -> Any:
    return values.get(name, _MISSING)


def _attribute(record: Record, name: str) -> Any:
    return getattr(record, name, _MISSING)


@functools.lru_cache(maxsize=256)
def _hints(kind: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)
