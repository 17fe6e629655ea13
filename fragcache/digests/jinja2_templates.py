"""What a Jinja2 template is made of, read from its source: Jinja2 keeps no tree of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fragcache.digests.templates import Closure

#: The functions of ``fragcache.contrib.jinja2`` that show the fragment they name first.
SHOWING: Final = frozenset({"fragment", "fragments"})


def add_jinja2(environment: Any, name: str, found: Closure, source: str | None = None) -> None:
    """Add a template and all that it names literally; ``source`` where no loader has it.

    Raises:
        jinja2.TemplateSyntaxError: one of them does not compile.
    """
    from jinja2 import meta

    pending = [(name, source)]
    while pending:
        current, text = pending.pop()
        if current in found.sources:
            continue
        if text is None:
            text = _source(environment, current)
        found.sources[current] = text
        tree = environment.parse(text, current)
        found.fragments.update(_shown(tree))
        pending += [
            (environment.join_path(inner, current), None)
            for inner in meta.find_referenced_templates(tree)
            if inner is not None
        ]


def _source(environment: Any, name: str) -> str:
    from jinja2 import TemplateNotFound

    try:
        source: str = environment.loader.get_source(environment, name)[0]
    except TemplateNotFound:  # in an include of the first that exists
        return ""
    return source


def _shown(tree: Any) -> Iterator[str]:
    """Yield the names of the fragments that are shown by literal name."""
    from jinja2 import nodes

    for call in tree.find_all(nodes.Call):
        match call:
            case nodes.Call(
                node=nodes.Name(name=function), args=[nodes.Const(value=str(name)), *_]
            ) if function in SHOWING:
                yield name
