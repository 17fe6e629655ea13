"""The code of functions and classes, as this process imported it.

Compiled code is what a digest wants: files may have been replaced since. Followed are the
functions, classes and constants that the code names in its own module. Constants are what is
written in capitals or cannot change: a dict in small letters may be a cache, and differ between
processes.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import CodeType, FunctionType
from typing import Any, Final

from django.utils.functional import Promise

#: The code of these is known by their version; following them would only cost time.
_SKIPPED_PACKAGES: Final = ("django", "builtins", "fragcache")
_SCALARS: Final = (
    *(type(None), bool, int, float, complex, str, bytes, Decimal, uuid.UUID, Promise),
    *(dt.date, dt.time, dt.timedelta, re.Pattern),
)
#: By id, and held so that no id is used twice: a decorated function has its wrapper's name.
Seen = dict[int, Any]


def code_parts(target: Callable[..., Any]) -> list[str]:
    """Return what identifies the code of a function or class and of what it calls beside it."""
    parts: list[str] = []
    seen: Seen = {}
    for function in _layers(target):
        _collect(function, parts, seen)
    return parts


def literal(value: Any) -> str:
    """Return ``repr``, equal in all processes and languages: sets in order, lazy texts as given."""
    if isinstance(value, Promise):
        return f"lazy {literal(_promised(value))}"
    if isinstance(value, re.Pattern):  # its repr is cut at 200 characters
        return f"pattern {value.pattern!r} {value.flags}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(literal, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(literal, value))})"
    return repr(value)


def _layers(target: Any) -> Iterator[Any]:
    """Yield a function and those that its decorators wrap."""
    seen: set[int] = set()
    while target is not None and id(target) not in seen:
        seen.add(id(target))
        yield getattr(target, "__func__", target)
        target = getattr(target, "__wrapped__", None)


def _collect(target: Any, parts: list[str], seen: Seen) -> None:
    module = getattr(target, "__module__", None) or ""
    name = f"{module}.{getattr(target, '__qualname__', type(target).__qualname__)}"
    if id(target) in seen or module.partition(".")[0] in _SKIPPED_PACKAGES:
        return
    seen[id(target)] = target
    if isinstance(target, type):
        _collect_class(target, name, parts, seen)
    elif isinstance(target, FunctionType):
        parts.append(f"code {name} {_describe(target.__code__)}")
        defaults = (target.__defaults__, target.__kwdefaults__)
        if _is_constant(defaults):
            parts.append(f"defaults {name} {literal(defaults)}")
        _collect_neighbours(target.__code__, target.__globals__, module, parts, seen)
        for cell in target.__closure__ or ():
            _collect_cell(cell, parts, seen)
    elif callable(getattr(target, "func", None)):  # functools.partial
        _collect(target.func, parts, seen)
    else:
        _collect(type(target), parts, seen)


def _collect_class(kind: type, name: str, parts: list[str], seen: Seen) -> None:
    for attribute, value in sorted(vars(kind).items()):
        functions = [value]
        if isinstance(value, property):
            functions = [value.fget, value.fset]
        elif isinstance(value, classmethod | staticmethod):
            functions = [value.__func__]
        elif hasattr(value, "func"):  # cached_property, functools.partial
            functions = [value.func]
        for function in functions:
            if isinstance(function, FunctionType):
                _collect(function, parts, seen)
        if not attribute.startswith("__") and _is_fixed(attribute, value):
            parts.append(f"constant {name}.{attribute} {literal(value)}")
    for base in kind.__bases__:
        _collect(base, parts, seen)


def _collect_cell(cell: Any, parts: list[str], seen: Seen) -> None:
    try:
        value = cell.cell_contents
    except ValueError:  # not bound yet
        return
    if isinstance(value, FunctionType | type):
        _collect(value, parts, seen)


def _collect_neighbours(
    code: CodeType, variables: dict[str, Any], module: str, parts: list[str], seen: Seen
) -> None:
    for name in sorted(_names(code)):
        if name not in variables:
            continue
        value = variables[name]
        inner = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
        if isinstance(inner, FunctionType | type):
            if getattr(inner, "__module__", None) == module:
                for layer in _layers(value):
                    _collect(layer, parts, seen)
        elif _is_fixed(name, value):
            parts.append(f"constant {module}.{name} {literal(value)}")


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _describe(code: CodeType) -> str:
    constants = [
        _describe(constant) if isinstance(constant, CodeType) else literal(constant)
        for constant in code.co_consts
    ]
    version = sys.implementation.cache_tag
    return f"{version} {code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"


def _is_fixed(name: str, value: Any) -> bool:
    return (name.isupper() or isinstance(value, _SCALARS)) and _is_constant(value)


def _is_constant(value: Any) -> bool:
    if isinstance(value, Promise):
        return _is_constant(_promised(value))
    if isinstance(value, _SCALARS):
        return True
    if isinstance(value, dict):
        return all(_is_constant(key) and _is_constant(item) for key, item in value.items())
    return isinstance(value, list | tuple | set | frozenset) and all(map(_is_constant, value))


def _promised(value: Any) -> tuple[Any, ...]:
    # What is translated: the translation is another one in each language.
    _unpickle, arguments = value.__reduce__()
    return tuple(argument for argument in arguments if not callable(argument))
