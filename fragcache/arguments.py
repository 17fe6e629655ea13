"""Arguments: bound to a fragment's signature, brought to one form, and encoded for its keys.

``course``, ``12`` and ``"12"`` name one instance of a fragment whose model is Course.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.datastructures import MultiValueDict
from django.utils.functional import LazyObject, Promise
from django.utils.safestring import SafeString

from fragcache.exceptions import InvalidArguments
from fragcache.keys import Reference, encode_arguments, encoder_of
from fragcache.readable import repr_text
from fragcache.suggestions import did_you_mean


class Missing:
    """The type of MISSING, which stands for a value that was not given."""

    def __repr__(self) -> str:
        return "<missing>"


MISSING: Final = Missing()

#: What the reading functions take beside a fragment's own arguments.
RESERVED: Final = frozenset("f items request using default storable page_context undefined".split())

#: Values of these types say the same at every call; a text that is translated late does not.
CONSTANTS: Final = frozenset({str, SafeString, int, bool, type(None)})
#: How many combinations of further arguments are remembered of a fragment.
_RESTS: Final = 1024
#: Characters of one argument that a reader is shown.
_READABLE: Final = 80
_new = tuple.__new__


class Instance(NamedTuple):
    """A fragment's arguments: as they were given, in the signature's order, and encoded."""

    arguments: tuple[Any, ...]
    encoded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters of one fragment.

    ``pk_to_python`` converts the first argument where the fragment has a model; ``owner`` is the
    fragment's name, for messages.
    """

    owner: str
    names: tuple[str, ...]
    #: The defaults of the last parameters.
    defaults: tuple[Any, ...] = ()
    choices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    model: type[Model] | None = None
    pk_to_python: Callable[[Any], Any] | None = None
    #: Of primary keys that ``pk_to_python`` returns as they are; where rows have them.
    pk_type: type | None = None
    pk_attribute: str = ""
    #: What a key has after the first argument where no other is given; None where some must be.
    defaults_encoded: str | None = None
    _rests: dict[Any, str] = field(default_factory=dict, compare=False, repr=False)

    def instance(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Instance:
        """Return the instance that a call names.

        Raises:
            InvalidArguments: they do not fit the signature, the model or the choices.
            NoIdentity: one of them is of a type without canonical form.
        """
        bound = self.bind(args, kwargs or {})
        return Instance(bound, encode_arguments(self.canonical(bound)))

    def instances(self, pks: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Instance]:
        """Return the instances of primary keys, as rows have them, with further arguments.

        Raises:
            As ``instance``.
        """
        if self.pk_type is None or not pks:
            return [self.instance((pk,), kwargs) for pk in pks]
        # Optimisation: all of them have the same further arguments.
        further = self.bind((None,), kwargs)[1:]
        encoded = self.encoded(pks, kwargs)
        return [_new(Instance, ((pk, *further), one)) for pk, one in zip(pks, encoded, strict=True)]

    def encoded(self, items: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
        """Return the arguments of many calls as keys have them; a tuple is several arguments.

        Raises:
            As ``instance``.
        """
        kind = self.pk_type
        if kind is None or self.names[0] in self.choices or tuple in set(map(type, items)):
            return [self.instance(as_arguments(item), kwargs).encoded for item in items]
        # Optimisation: rows and primary keys of the usual kind differ in nothing else.
        end = self.encoded_rest(kwargs)
        if end is None:
            further = self.instance(as_arguments(items[0]), kwargs).arguments[1:]
            end = encode_arguments(map(plain, further)) if further else ""
        encode, model, attribute = encoder_of(kind), self.model, self.pk_attribute
        encoded = []
        for item in items:
            pk = item.__dict__.get(attribute) if type(item) is model else item
            encoded.append(
                encode(pk) + end
                if type(pk) is kind
                else self.instance(as_arguments(item), kwargs).encoded
            )
        return encoded

    def encoded_rest(self, kwargs: Mapping[str, Any]) -> str | None:
        """Return what keys have after the first argument; None where the values are no constants.

        Raises:
            InvalidArguments: they do not fit the signature or the choices.
        """
        if not kwargs:
            return self.defaults_encoded
        kinds = tuple(map(type, kwargs.values()))
        if not CONSTANTS.issuperset(kinds):
            return None
        # Optimisation: templates have the same few.
        call = (*kwargs.items(), *kinds)
        rest = self._rests.get(call)
        if rest is None:
            further = self.bind((None,), kwargs)[1:]
            self._check_choices((None, *further))
            if len(self._rests) >= _RESTS:
                self._rests.clear()
            rest = self._rests[call] = encode_arguments(map(plain, further))
        return rest

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the arguments in the signature's order, with defaults."""
        missing = len(self.names) - len(args)
        if not kwargs and 0 <= missing <= len(self.defaults):
            # Optimisation: the common form, at a tenth of the cost of the general one.
            return (*args, *self.defaults[len(self.defaults) - missing :])
        return self._bind_by_name(args, kwargs)

    def canonical(self, bound: Sequence[Any]) -> list[Any]:
        """Return the values that identify bound arguments.

        Raises:
            InvalidArguments: one of them does not fit the model or the choices.
        """
        if self.pk_to_python is not None and bound:
            values = [self.primary_key(bound[0]), *map(plain, bound[1:])]
        else:
            values = list(map(plain, bound))
        self._check_choices(bound)
        return values

    def canonical_defaults(self) -> list[Any]:
        """Return the defaults as they stand in keys."""
        return list(map(plain, self.defaults))

    def primary_key(self, value: Any) -> Any:
        """Return the primary key that a row, or one of its forms, stands for.

        Raises:
            InvalidArguments: it is none of the fragment's model.
        """
        assert self.pk_to_python is not None
        if isinstance(value, Model):
            if self.model is not None and not isinstance(value, self.model):
                raise InvalidArguments(
                    f"{self.owner} takes a {self.model._meta.label}, not {value!r} "
                    f"({value._meta.label})."
                )
            if value.pk is None:
                raise InvalidArguments(
                    f"{self.owner}: {value!r} is not saved yet, so it has no key: save it first."
                )
            value = value.pk
        try:
            if isinstance(value, float | bool):  # int() would cut and count them
                raise ValueError(f"a {type(value).__name__} is no key")
            pk = self.pk_to_python(value)
        except (ValidationError, TypeError, ValueError) as error:
            raise InvalidArguments(
                f"{self.owner}: {value!r} is not a primary key of its model "
                f"({', '.join(getattr(error, 'messages', [str(error)]))})."
            ) from error
        if pk is None:
            raise InvalidArguments(f"{self.owner}: {value!r} is not a primary key of its model.")
        return pk

    def text(self, arguments: Sequence[Any]) -> str:
        """Return bound arguments for a reader, the row as its key: ``pk=5, variant='row'``."""
        named = list(zip(self.names, arguments, strict=False))
        texts = [f"{name}={_readable(value)}" for name, value in named]
        if texts and self.pk_to_python is not None:
            texts[0] = f"pk={self.primary_key(arguments[0])}"
        return ", ".join(texts)

    def _check_choices(self, bound: Sequence[Any]) -> None:
        for name, allowed in self.choices.items():
            value = bound[self.names.index(name)]
            if value not in allowed:
                raise InvalidArguments(
                    f"{self.owner}: {name}={value!r} is not among its choices "
                    f"{', '.join(map(repr, allowed))}."
                )

    def _bind_by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        required = self.names[: len(self.names) - len(self.defaults)]
        values = dict(zip(self.names[len(required) :], self.defaults, strict=True))
        given = dict(zip(self.names, args, strict=False))
        for name in kwargs:
            if name not in self.names:
                raise self._misfit(f"has no parameter {name!r}.{did_you_mean(name, self.names)}")
            if name in given:
                raise self._misfit(f"got {name!r} twice")
        values |= given
        values |= kwargs
        if len(args) > len(self.names):
            taken = f"{len(self.names)} argument{'' if len(self.names) == 1 else 's'}"
            raise self._misfit(f"takes {taken}, not {len(args)}: {args!r}")
        absent = [name for name in required if name not in values]
        if absent:
            raise self._misfit(f"misses {', '.join(map(repr, absent))}")
        return tuple(values[name] for name in self.names)

    def _misfit(self, problem: str) -> InvalidArguments:
        signature = ", ".join(self.names)
        end = "" if problem.endswith((".", "?")) else "."
        return InvalidArguments(f"{self.owner}({signature}) {problem}{end}")


def _readable(value: Any) -> str:
    value = plain(value)
    text = f"{value.label} {value.pk}" if isinstance(value, Reference) else repr_text(value)
    return text if len(text) <= _READABLE else text[: _READABLE - 3] + "..."


def as_arguments(item: Any) -> tuple[Any, ...]:
    """Return what a list of items holds as arguments: a tuple is several."""
    return item if isinstance(item, tuple) else (item,)


def as_item(arguments: tuple[Any, ...]) -> Any:
    """Return what stands for a call's arguments in a list of items."""
    is_one = len(arguments) == 1 and not isinstance(arguments[0], tuple)
    return arguments[0] if is_one else arguments


def plain(value: Any) -> Any:
    """Return a value that ``keys.encode`` takes, for the types that Django adds to Python's."""
    if issubclass(type(value), LazyObject):
        value = value.__reduce__()[1][0]  # what is inside, loaded if need be
    if isinstance(value, Model):
        if value.pk is None:
            raise InvalidArguments(f"{value!r} is not saved yet, so it has no key: save it first.")
        return Reference(value._meta.label_lower, value.pk)
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, MultiValueDict):  # as items() tells the last values alone
        return dict(value.lists())
    if isinstance(value, list | tuple) and not isinstance(value, Reference):
        return type(value)(map(plain, value)) if type(value) in {list, tuple} else value
    if getattr(value, "is_anonymous", None) is True:
        return None
    return value
