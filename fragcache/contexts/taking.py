"""Taking: from the values of a context to what stands on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from django.db.models import Manager, Model, QuerySet
from django.utils.functional import LazyObject
from django.utils.safestring import SafeData

from fragcache.contexts import rows, wire
from fragcache.contexts.paths import Step, written
from fragcache.contexts.refusals import unpublishable
from fragcache.contexts.scalars import DERIVED, SCALARS
from fragcache.contexts.silence import Asked, Silence
from fragcache.exceptions import SnapshotTooLarge, Unpublishable

#: How deep values may lie within each other.
MAX_DEPTH: Final = 100
#: How many values one snapshot may have: lists that share a list grow without end.
MAX_VALUES: Final = 1_000_000
_PLAIN: Final = frozenset({type(None), bool, float, str})


class Taker:
    """Takes one context; rows and dataclasses that several values lead to are taken once."""

    def __init__(self, expose: Sequence[str], silence: Silence) -> None:
        self.kinds: list[wire.Kind] = []
        self.rows: list[wire.Row] = []
        self._expose = expose
        self._silence = silence
        self._plans: dict[Any, tuple[rows.Plan, int]] = {}
        self._kinds_of_dataclasses: dict[type, int] = {}
        #: Kinds whose text asks the database.
        self._textless: set[int] = set()
        #: By identity, the record that an object became; None while it is taken.
        self._taken: dict[int, int | None] = {}
        self._by_content: dict[bytes, int] = {}
        #: What was taken, so that nothing else gets its identity.
        self._alive: list[object] = []
        self._steps: list[Step] = []
        self._left = MAX_VALUES

    def take(self, value: Any) -> wire.Value:
        """Return a value as it stands on the wire.

        Raises:
            Unpublishable: it is of a type that cannot be published, with its path.
            SnapshotTooLarge: there is more than fits any snapshot.
        """
        kind = type(value)
        if kind in _PLAIN:
            plain: wire.Value = value
            return plain
        self._left -= 1
        if self._left < 0:
            raise SnapshotTooLarge(f"{self._path} has more than {MAX_VALUES:,} values.")
        scalar = SCALARS.get(kind)
        if scalar is not None:
            return scalar(value)
        taker = _TAKERS.get(kind)
        return self._take_unusual(value) if taker is None else taker(self, value)

    def items(self, values: Any) -> list[wire.Value]:
        """Return the values of a sequence."""
        with self._deeper():
            taken = []
            for number, value in enumerate(values):
                self._steps[-1] = number
                taken.append(self.take(value))
            return taken

    def mapping(self, values: Mapping[Any, Any]) -> wire.Value:
        """Return a dict; keys that are not all text stand beside their values."""
        with self._deeper():
            if all(type(key) is str for key in values):
                taken = {}
                for key, value in values.items():
                    self._steps[-1] = key
                    taken[key] = self.take(value)
                return wire.Map(taken)
            pairs = []
            for key, value in values.items():
                self._steps[-1] = str(key)
                pairs.append((self._key(key), self.take(value)))
            return wire.Pairs(pairs)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        if len(self._steps) >= MAX_DEPTH:
            steps = self._steps[:3]
            raise Unpublishable(
                f"{written(steps)} leads {MAX_DEPTH} values deep: does a list or dict hold itself?"
            )
        self._steps.append("")
        yield  # an error leaves the steps as they are, which tell where it was
        self._steps.pop()

    @property
    def _path(self) -> str:
        return written(self._steps) or "The context"

    def _key(self, key: Any) -> wire.Value:
        if is_dataclass(key):
            raise Unpublishable(f"{self._path}: {key!r} is a dataclass, which is no key here.")
        return self.take(key)

    def _take_unusual(self, value: Any) -> wire.Value:
        if issubclass(type(value), LazyObject):  # which says to be of the class of what is inside
            return self.take(value.__reduce__()[1][0])
        if isinstance(value, Model):
            return self._row(value)
        if isinstance(value, Enum):
            return self._member(value)
        if is_dataclass(value) and not isinstance(value, type):
            return self._dataclass(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return wire.Named(list(value._fields), self.items(value))
        for base, scalar in DERIVED:
            if isinstance(value, base):
                return scalar(value)
        for base, taker in _LIKE:
            if isinstance(value, base):
                return taker(self, value)
        raise unpublishable(self._path, value)

    def _row(self, row: Model) -> wire.Ref:
        def read() -> wire.Row:
            state = rows.state_of(row)
            known = self._plans.get(state)
            if known is None:
                plan = rows.plan_of(row, self._expose)
                known = self._plans[state] = plan, self._add_kind(plan)
            plan, kind = known
            with self._deeper():
                values = []
                for name, get in plan.getters:
                    value = get(row)
                    if type(value) not in _PLAIN:  # optimisation: most are
                        self._steps[-1] = name
                        value = self._value_of(value)
                    values.append(value)
            return wire.Row(kind, self._text(row, values, kind), values)

        return self._record(row, read)

    def _value_of(self, value: Any) -> wire.Value:
        """Return an attribute's value; what cannot be published is missed when it is read."""
        depth = len(self._steps)
        try:
            return self.take(value)
        except Unpublishable as error:
            if isinstance(value, Model | QuerySet | list | tuple | dict):
                raise
            del self._steps[depth:]
            return wire.Absent(str(error))

    def _text(
        self, row: Any, values: Sequence[wire.Value], kind: int
    ) -> str | int | wire.Safe | None:
        """Return a row's text, or which of its values it is; None where it asks the database."""
        if kind in self._textless:
            return None
        try:
            with self._silence:
                text = str(row)
        except Asked:
            self._textless.add(kind)
            return None
        if isinstance(text, SafeData):
            return wire.Safe(str.__str__(text))
        for position, value in enumerate(values):
            if type(value) is str and value == text:
                return position
        return str.__str__(text)

    def _add_kind(self, plan: rows.Plan) -> int:
        self.kinds.append(
            wire.Kind(
                label=plan.label,
                name=plan.name,
                names=[*plan.names, *plan.methods],
                methods=list(plan.methods),
                pk=list(plan.pk),
                unloaded={remedy: list(names) for remedy, names in plan.unloaded.items()},
                keys=dict(plan.keys),
            )
        )
        return len(self.kinds) - 1

    def _dataclass(self, value: Any) -> wire.Ref:
        kind = type(value)

        def read() -> wire.Row:
            names = [field.name for field in fields(kind) if not field.name.startswith("_")]
            number = self._kinds_of_dataclasses.get(kind)
            if number is None:
                label = f"{kind.__module__}.{kind.__qualname__}"
                self.kinds.append(wire.Kind(label=label, name=kind.__name__, names=names))
                number = self._kinds_of_dataclasses[kind] = len(self.kinds) - 1
            with self._deeper():
                values = []
                for name in names:
                    self._steps[-1] = name
                    values.append(self.take(getattr(value, name)))
            has_text = "__str__" in vars(kind)
            return wire.Row(number, self._text(value, values, number) if has_text else None, values)

        return self._record(value, read)

    def _record(self, value: object, read: Callable[[], wire.Row]) -> wire.Ref:
        """Return the reference to what an object becomes, which may lead to itself."""
        known = self._taken.get(id(value), -1)
        if known is None:  # it is being taken: it gets its place before its values
            self.rows.append(wire.Row(0, None, []))
            known = self._taken[id(value)] = len(self.rows) - 1
        if known >= 0:
            return wire.Ref(known)
        self._alive.append(value)
        self._taken[id(value)] = None
        row = read()
        place = self._taken[id(value)]
        if place is not None:
            self.rows[place] = row
        else:
            content = wire.encode(row)
            place = self._by_content.get(content)
            if place is None:
                self.rows.append(row)
                place = self._by_content[content] = len(self.rows) - 1
            self._taken[id(value)] = place
        return wire.Ref(place)

    def _member(self, value: Enum) -> wire.Member:
        kind = type(value)
        label = getattr(value, "label", None)
        return wire.Member(
            enum=kind.__name__,
            name=value.name or "",
            value=self.take(value.value),
            text=str(value),
            label=self.take(label),
            is_mixed=isinstance(value, str | int),
        )


def _set(taker: Taker, value: Set[Any]) -> wire.Value:
    # In a definite order, so that one context is one snapshot.
    taken = sorted((taker.take(one) for one in value), key=wire.encode)
    return wire.Set(taken, isinstance(value, frozenset))


_TAKERS: Final[dict[type, Callable[[Taker, Any], wire.Value]]] = {
    list: lambda taker, value: wire.Items(taker.items(value)),
    tuple: lambda taker, value: wire.Tuple(taker.items(value)),
    dict: lambda taker, value: taker.mapping(value),
    set: _set,
    frozenset: _set,
    QuerySet: lambda taker, value: wire.Listed(taker.items(value)),
}
#: For what derives from a type, or is like it.
_LIKE: Final[tuple[tuple[Any, Callable[[Taker, Any], wire.Value]], ...]] = (
    *_TAKERS.items(),
    (Manager, lambda taker, value: wire.Listed(taker.items(value.all()))),
    (Mapping, lambda taker, value: taker.mapping(value)),
    (Sequence | KeysView | ValuesView, lambda taker, value: wire.Items(taker.items(value))),
)
