"""Rows of models: what was loaded of one, and what was not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.db.models import FileField, ForeignKey, Manager, Model
from django.utils.functional import cached_property

#: Of these classes come the methods that every model has.
_BASES: Final = (Model, object)
_PROPERTIES: Final = (property, cached_property, functools.cached_property)

Getter = Callable[[Any], Any]


class Plan(NamedTuple):
    """How rows that were loaded alike are read, and what they have in common."""

    label: str
    name: str
    #: What reads the attributes, then the methods, by their names.
    getters: tuple[tuple[str, Getter], ...]
    names: tuple[str, ...]
    methods: tuple[str, ...]
    pk: tuple[str, ...]
    unloaded: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, str]


def state_of(row: Model) -> tuple[Any, ...]:
    """Return what tells which plan reads a row."""
    state = row._state
    return (
        type(row),
        tuple(row.__dict__),
        tuple(state.fields_cache),
        tuple(getattr(row, "_prefetched_objects_cache", ())),
    )


def plan_of(row: Model, expose: Sequence[str]) -> Plan:
    """Return the plan of rows that are loaded like this one.

    ``expose`` names properties and methods without arguments, of any model that has them, or as
    ``Artist.full_name`` of one.
    """
    attributes, methods = dict(_attributes(row)), dict(_displays(row))
    wanted = set(_exposed(type(row), expose))
    for name, member in _members(type(row)).items():
        if name in wanted:
            if isinstance(member, _PROPERTIES):
                attributes[name] = _attribute(name)
            else:
                methods[name] = _call(name)
    unloaded, keys = _unloaded(row, attributes.keys() | methods.keys())
    meta = type(row)._meta
    concrete = meta.concrete_model
    assert concrete is not None
    return Plan(
        label=concrete._meta.label_lower,
        name=type(row).__name__,
        getters=(*attributes.items(), *methods.items()),
        names=tuple(attributes),
        methods=tuple(methods),
        pk=tuple(field.attname for field in getattr(meta, "pk_fields", None) or [meta.pk]),
        unloaded=unloaded,
        keys=keys,
    )


def _attributes(row: Model) -> Iterator[tuple[str, Getter]]:
    """Yield what a row carries: fields, annotations, what prefetches and relations brought."""
    files = {f.attname for f in type(row)._meta.concrete_fields if isinstance(f, FileField)}
    for name in row.__dict__:
        if not name.startswith("_"):
            yield name, _attribute(name) if name in files else _carried(name)
    by_cache_name = {cache_name: name for name, cache_name in _relations(type(row))}
    for cache_name in row._state.fields_cache:
        if cache_name in by_cache_name:
            yield by_cache_name[cache_name], _cached(cache_name)
    for name in getattr(row, "_prefetched_objects_cache", ()):
        yield name, _prefetched(name)


def _relations(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Yield the names of the relations to one row, and what they are cached under."""
    meta: Any = model._meta
    for field in (*meta.fields, *meta.private_fields):
        if field.is_relation and not (field.one_to_many or field.many_to_many):
            yield field.name, field.cache_name
    for relation in meta.related_objects:
        if relation.one_to_one:
            yield relation.get_accessor_name(), relation.cache_name


def _displays(row: Model) -> Iterator[tuple[str, Getter]]:
    for field in type(row)._meta.concrete_fields:
        name = f"get_{field.name}_display"
        if field.choices and field.attname in row.__dict__ and hasattr(row, name):
            yield name, _call(name)


def _exposed(model: type[Model], expose: Iterable[str]) -> Iterator[str]:
    names = {kind.__name__ for kind in model.__mro__}
    for wanted in expose:
        owner, _dot, name = wanted.rpartition(".")
        if not owner or owner in names:
            yield name


@functools.cache
def _members(model: type[Model]) -> Mapping[str, Any]:
    """Return the properties and methods without arguments that a site's own classes define."""
    found: dict[str, Any] = {}
    seen = set()
    for kind in model.__mro__:
        if kind in _BASES:
            continue
        for name, member in vars(kind).items():
            if name in seen or name.startswith("_"):
                continue
            seen.add(name)
            if isinstance(member, _PROPERTIES) or _is_method(member):
                found[name] = member
    return found


def _is_method(member: object) -> bool:
    if not inspect.isfunction(member) or getattr(member, "alters_data", False):
        return False
    _self, *others = inspect.signature(member).parameters.values()
    return all(one.default is not one.empty or one.kind in _OPTIONAL for one in others)


_OPTIONAL: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _unloaded(
    row: Model, loaded: Iterable[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return what a model's row would give and this one does not, by what would load it."""
    meta: Any = type(row)._meta
    known = set(loaded)
    single = dict.fromkeys(name for name, _cache_name in _relations(type(row)))
    many = [field.name for field in meta.many_to_many]
    many += [field.name for field in meta.private_fields if field.one_to_many]
    many += [one.get_accessor_name() for one in meta.related_objects if not one.one_to_one]
    found = {
        "select_related": single,
        "prefetch_related": many,
        "defer": row.get_deferred_fields(),
        "expose": _members(type(row)),
    }
    unloaded: dict[str, tuple[str, ...]] = {}
    for remedy, names in found.items():
        own = [name for name in names if name not in known]
        known.update(own)
        if own:
            unloaded[remedy] = tuple(own)
    keys = {
        field.name: field.attname
        for field in meta.concrete_fields
        if isinstance(field, ForeignKey) and field.name in unloaded.get("select_related", ())
    }
    return unloaded, keys


def _carried(name: str) -> Getter:
    return lambda row: row.__dict__[name]


def _attribute(name: str) -> Getter:
    return lambda row: getattr(row, name)


def _cached(cache_name: str) -> Getter:
    return lambda row: row._state.fields_cache[cache_name]


def _prefetched(name: str) -> Getter:
    def get(row: Any) -> Any:
        found = row._prefetched_objects_cache[name]
        return found.all() if isinstance(found, Manager) else found

    return get


def _call(name: str) -> Getter:
    return lambda row: getattr(row, name)()
