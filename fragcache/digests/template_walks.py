"""Walks over the templates of a project: compiled, and nothing is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from django.template import Template, TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.backends.django import DjangoTemplates
from django.template.base import Node, NodeList

from fragcache.exceptions import FragcacheError


def templates_with(marks: Sequence[bytes]) -> Iterator[tuple[str, Template]]:
    """Yield the name and template of each file of Django's engines that has one of these texts.

    Those that do not compile are left out: that is told where they are shown.
    """
    for backend in engines.all():
        if not isinstance(backend, DjangoTemplates):
            continue
        for name in sorted(_names(backend, marks)):
            try:
                yield name, backend.engine.get_template(name)
            except (TemplateDoesNotExist, TemplateSyntaxError, FragcacheError):
                continue


def nodes_within(
    nodelist: NodeList, around: tuple[Node, ...] = ()
) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """Yield nodes with those that they stand in, from the outside."""
    for node in nodelist:
        yield node, around
        for attribute in node.child_nodelists:
            inner = getattr(node, attribute, None)
            if isinstance(inner, NodeList):
                yield from nodes_within(inner, (*around, node))


def _names(backend: DjangoTemplates, marks: Sequence[bytes]) -> set[str]:
    loaders = list(backend.engine.template_loaders)
    for loader in loaders:
        loaders += getattr(loader, "loaders", [])
    names = set()
    for directory in {Path(one) for x in loaders if hasattr(x, "get_dirs") for one in x.get_dirs()}:
        for path in directory.rglob("*"):
            if path.is_file() and any(mark in path.read_bytes() for mark in marks):
                names.add(path.relative_to(directory).as_posix())
    return names
