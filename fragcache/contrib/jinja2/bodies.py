"""Bodies of blocks as they are compiled: what they read of their visitor is asked for by a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from fragcache.contrib.jinja2.watching import WATCHED


def watched_body(
    body: Sequence[nodes.Node], call: Callable[[nodes.Name], nodes.Node]
) -> list[nodes.Node]:
    """Return a body in which ``call`` takes the place of each name that is watched.

    Names that the body gives values itself are left as they are.
    """
    names = nodes.Scope(list(body)).find_all(nodes.Name)
    own = {name.name for name in names if name.ctx != "load"}
    transformer = _Names(own, call)
    changed: list[nodes.Node] = []
    for node in body:
        changed += transformer.visit_list(node)
    return changed


def paths_of(expression: nodes.Node) -> Iterator[str]:
    """Yield the paths of what an expression tells as it is: ``user.pk``."""
    if isinstance(expression, nodes.Filter) and expression.node is not None:
        yield from paths_of(expression.node)
    elif isinstance(expression, nodes.CondExpr):
        for branch in (expression.expr1, expression.expr2):
            if branch is not None:
                yield from paths_of(branch)
    elif isinstance(expression, nodes.And | nodes.Or):
        yield from paths_of(expression.left)
        yield from paths_of(expression.right)
    elif (path := _path(expression)) is not None:
        yield path


class _Names(NodeTransformer):
    def __init__(self, own: set[str], call: Callable[[nodes.Name], nodes.Node]) -> None:
        self._own = own
        self._call = call

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        is_watched = node.ctx == "load" and node.name in WATCHED and node.name not in self._own
        return self._call(node) if is_watched else node


def _path(expression: Any) -> str | None:
    if isinstance(expression, nodes.Name):
        return expression.name
    key: Any = None
    if isinstance(expression, nodes.Getattr):
        key = expression.attr
    elif isinstance(expression, nodes.Getitem) and isinstance(expression.arg, nodes.Const):
        key = expression.arg.value
    else:
        return None
    owner = _path(expression.node)
    return None if owner is None else f"{owner}.{key}"
