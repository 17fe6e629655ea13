"""Signatures: from a context function to the parameters of a fragment."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.db.models import CharField, Field, IntegerField, Model, UUIDField

from fragcache.arguments import CONSTANTS, RESERVED, Parameters
from fragcache.exceptions import ImproperlyDeclared
from fragcache.keys import encode_arguments
from fragcache.suggestions import did_you_mean

_UNCONVERTED: Final[Mapping[Any, type]] = {
    IntegerField.to_python: int,
    UUIDField.to_python: uuid.UUID,
    CharField.to_python: str,
}


def parameters_of(
    function: Callable[..., Any],
    *,
    owner: str,
    choices: Mapping[str, Sequence[Any]],
    model: type[Model] | None,
) -> Parameters:
    """Return the parameters of a context function.

    Raises:
        ImproperlyDeclared: it takes ``*args``, ``**kwargs`` or keyword-only parameters, does not
            say what it takes, or ``choices`` names no parameter.
    """
    names, defaults = [], []
    for parameter in _signature(function, owner).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise ImproperlyDeclared(
                f"{owner}: its function takes {parameter} ({parameter.kind.description}); "
                "arguments are part of a key, so it must take plain, named parameters."
            )
        if parameter.name in RESERVED:
            raise ImproperlyDeclared(
                f"{owner}: a parameter cannot be called {parameter.name!r}, as get_fragment() "
                "takes an argument of that name."
            )
        names.append(parameter.name)
        if parameter.default is not parameter.empty:
            defaults.append(parameter.default)
    for name in choices:
        if name not in names:
            raise ImproperlyDeclared(
                f"{owner}: choices names {name!r}, which is not a parameter."
                f"{did_you_mean(name, names)}"
            )
    pk: Field[Any, Any] | None = model._meta.pk if model is not None else None
    return Parameters(
        owner=owner,
        names=tuple(names),
        defaults=tuple(defaults),
        choices={name: tuple(values) for name, values in choices.items()},
        model=model,
        pk_to_python=_pk_to_python(pk) if pk is not None else None,
        pk_type=pk_type(pk) if pk is not None else None,
        pk_attribute=pk.attname if pk is not None else "",
        defaults_encoded=_encoded_defaults(names, defaults, choices),
    )


def _pk_to_python(field: Field[Any, Any]) -> Callable[[Any], Any]:
    parts: Any = getattr(field, "fields", None)
    if parts is None:
        return field.to_python

    def of_several_fields(value: Any) -> tuple[Any, ...]:
        # Of JSON it is a list, and of what is no text what it was.
        values = zip(parts, field.to_python(value), strict=True)
        key = tuple(part.to_python(one) for part, one in values)
        if None in key:
            raise ValueError("a part of it is empty")
        return key

    return of_several_fields


def _signature(function: Callable[..., Any], owner: str) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:  # such as of dict, and much that is written in C
        raise ImproperlyDeclared(
            f"{owner}: its function {function!r} does not say what parameters it takes: write one "
            "in Python that calls it."
        ) from error


def _encoded_defaults(
    names: Sequence[str], defaults: Sequence[Any], choices: Mapping[str, Sequence[Any]]
) -> str | None:
    if len(names) != 1 + len(defaults):
        return None
    for name, default in zip(names[1:], defaults, strict=True):
        if type(default) not in CONSTANTS or default not in choices.get(name, (default,)):
            return None
    return encode_arguments(defaults) if defaults else ""


def pk_type(field: Field[Any, Any]) -> type | None:
    """Return the type of values that a field's ``to_python`` returns as they are, if known."""
    return _UNCONVERTED.get(type(field).to_python)
