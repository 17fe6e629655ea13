"""Reading rows: the primary key and the version that an object in memory carries."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Returns primary key and version, of an object's ``__dict__``.
Reader = Callable[[Mapping[str, Any]], tuple[Any, Any]]


def row_reader(pk: str, paths: Sequence[str]) -> Reader:
    """Return what reads primary key and version off an object, without any query.

    It raises ``KeyError`` where a field or relation is not loaded.
    """
    if len(paths) == 1 and "__" not in paths[0]:
        return operator.itemgetter(pk, paths[0])
    if len(paths) == 1:
        return lambda fields: (fields[pk], carried(fields, paths[0]))
    return lambda fields: (fields[pk], tuple([carried(fields, path) for path in paths]))


def carried(fields: Mapping[str, Any], path: str) -> Any:
    """Return what a path leads to, None at the end of an empty relation.

    Raises:
        KeyError: a field or relation is not loaded.
    """
    *relations, name = path.split("__")
    for relation in relations:
        related = fields["_state"].fields_cache[relation]
        if related is None:
            return None
        fields = related.__dict__
    return fields[name]
