"""What ``fragments list`` tells: fragments as they are declared, and the blocks of templates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from django.core.cache import caches
from django.template.base import FilterExpression, Variable

from fragcache import tokens
from fragcache.blocks import token_name
from fragcache.declarations import Fragment
from fragcache.digests.template_walks import nodes_within, templates_with
from fragcache.exceptions import CacheUnavailable
from fragcache.store import store
from fragcache.templatetags.blocks import CacheNode
from fragcache.warming.extents import Extent, extent_of

_TAGS: Final = (b"{% cache", b"{%cache")


def described_fragment(fragment: Fragment) -> dict[str, Any]:
    """Return what is declared of a fragment, and how much of it is warmed, by column."""
    return declared_options(fragment) | {"warmed": _extent(fragment)}


def declared_options(fragment: Fragment) -> dict[str, Any]:
    """Return what is declared of a fragment, by column; its items are not counted.

    Raises:
        Exception: whatever the site's own items() raises.
    """
    model = fragment.item_model
    paths = fragment.version_paths
    return {
        "name": fragment.name,
        "template": fragment.template_name,
        "items": model._meta.label if model else _kind_of_items(fragment),
        "version": ", ".join(paths) if paths else ("function" if fragment.is_versioned else None),
        "axes": list(fragment.axes),
        "choices": {name: list(values) for name, values in fragment.choices.items()},
        "timeout": fragment.effective_timeout,
        "max_age": fragment.effective_max_age,
        "using": fragment.using,
    }


def described_blocks() -> list[dict[str, Any]]:
    """Return what is written of each ``{% cache %}`` block of the project's templates, by column.

    ``since`` is when the blocks of that name were last invalidated, at first when one of them was
    rendered first; None where none ever was, or the cache does not answer.
    """
    found = sorted(
        written_blocks(), key=lambda block: (block["name"], block["template"], block["line"])
    )
    since = known_since({(block["name"], block["using"]) for block in found})
    return [block | {"since": since.get((block["name"], block["using"]))} for block in found]


def known_since(blocks: Collection[tuple[str, str | None]]) -> dict[tuple[str, str | None], str]:
    """Return since when blocks, by name and cache alias, have their tokens; ISO 8601, in UTC."""
    by_alias: defaultdict[str | None, set[str]] = defaultdict(set)
    for name, using in blocks:
        if using is None or using in caches.settings:
            by_alias[using].add(name)
    found = {}
    for using, names in by_alias.items():
        with suppress(CacheUnavailable):
            asked = [token_name(name) for name in names]
            current = tokens.read(store(using), asked, may_write=False).current
            for name in names:
                if token := current.get(token_name(name)):
                    moment = datetime.fromtimestamp(token.moment // 1_000_000, UTC)
                    found[name, using] = moment.isoformat()
    return found


def written_blocks() -> Iterator[dict[str, Any]]:
    """Yield the same, but for ``since``: no cache is asked."""
    for template_name, template in templates_with(_TAGS):
        for node, _around in nodes_within(template.nodelist):
            if isinstance(node, CacheNode):
                yield {
                    "name": node.fragment_name,
                    "template": template_name,
                    "line": node.token.lineno if node.token else None,
                    "timeout": str(node.timeout.token),
                    "values": [str(value.token) for value in node.values],
                    "options": [f"{name}={given.token}" for name, given in node.options.items()],
                    "using": _literal(node.options.get("using")),
                }


def _literal(expression: FilterExpression | None) -> str | None:
    """Return a quoted text; None where there is none, or a variable holds it."""
    if expression is None or isinstance(expression.var, Variable):
        return None
    return str(expression.var)


def _extent(fragment: Fragment) -> Extent | None:
    """Return how much of it is warmed; None where it is not, or items() raises."""
    with suppress(Exception):
        return extent_of(fragment) if fragment.is_warmable else None
    return None


def _kind_of_items(fragment: Fragment) -> str:
    if fragment.items is not None:
        return "listed"
    return "one" if fragment.is_warmable else "on demand"
