"""Checks of templates: what ``{% cache %}``, ``{% nocache %}`` and fragments' templates get wrong.

Templates are compiled and nothing is rendered; what a variable may hold, nobody knows here. So all
of it is advice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.template import Template, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import Node
from django.template.defaulttags import ForNode
from django.templatetags.cache import CacheNode as DjangosCacheNode
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

from fragcache import conf, registry
from fragcache.checks.settings import has_usable_settings
from fragcache.declarations import Fragment
from fragcache.digests.template_walks import nodes_within, templates_with
from fragcache.digests.templates import closure, closure_of_nodes
from fragcache.exceptions import FragcacheError
from fragcache.rendering.leaks import VISITORS
from fragcache.templatetags.blocks import CacheNode
from fragcache.templatetags.holes import NocacheNode

_TAGS = (b"{% cache", b"{% nocache", b"{%cache")


def check_templates(**_kwargs: Any) -> list[CheckMessage]:
    """Check the templates of fragments, and all templates with ``{% cache %}``."""
    if not has_usable_settings():
        return []
    messages: list[CheckMessage] = []
    for fragment in registry.all_fragments():
        messages += _of_fragment(fragment)
    blocks: defaultdict[str, set[str]] = defaultdict(set)
    theirs, ours = set(), set()
    for name, template in templates_with(_TAGS):
        for node, around in nodes_within(template.nodelist):
            if isinstance(node, CacheNode):
                ours.add(name)
                blocks[node.fragment_name].add(name)
            elif isinstance(node, DjangosCacheNode):
                theirs.add(name)
            elif isinstance(node, NocacheNode):
                messages += _of_hole(template, node, around)
    return [*messages, *_of_libraries(theirs, ours), *_of_names(blocks)]


def _of_fragment(fragment: Fragment) -> Iterator[CheckMessage]:
    try:
        found = closure(fragment.template_name) if fragment.template_name else None
        own = set(fragment.parameters.names)
        has_language = "language" in fragment.axes
    except (FragcacheError, TemplateDoesNotExist, TemplateSyntaxError):
        return  # check_fragments says so
    if found is None:
        return
    read = sorted({path.partition(".")[0] for path in found.variables} & VISITORS - own)
    if read:
        yield CheckWarning(
            f"{fragment.name}: its templates read {', '.join(read)}, which no fragment has: it is "
            "kept for all visitors.",
            hint="Pass it as an argument, or put it into {% nocache %}.",
            id="fragcache.W007",
        )
    if not has_language and found.kinds & {TranslateNode, BlockTranslateNode}:
        yield CheckWarning(
            f"{fragment.name}: its templates are translated, but it refuses the axis language: "
            "all readers get the language of the first one.",
            hint="Take '-language' out of vary_on.",
            id="fragcache.W008",
        )


def _of_hole(
    template: Template, node: NocacheNode, around: tuple[Node, ...]
) -> Iterator[CheckMessage]:
    kept = next((n for n, one in enumerate(around) if isinstance(one, CacheNode)), 0)
    loops = [one for one in around[kept:] if isinstance(one, ForNode)]
    local = {variable for loop in loops for variable in loop.loopvars} | {"forloop"}
    inner = closure_of_nodes(node.nodelist, template.engine) if loops else None
    read = {path.partition(".")[0] for path in inner.variables} if inner else set()
    if missing := sorted(read & local - node.captured.keys()):
        line = node.token.lineno if node.token else 1
        yield CheckWarning(
            f"{template.name}, line {line}: {{% nocache %}} reads {', '.join(missing)} of a loop "
            "that is over when it is filled in.",
            hint="Capture what it needs: {% nocache with pk=" + missing[0] + ".pk %}.",
            id="fragcache.W009",
        )


def _of_libraries(theirs: set[str], ours: set[str]) -> Iterator[CheckMessage]:
    if theirs and ours:
        yield CheckWarning(
            f"{', '.join(sorted(theirs))}: {{% load cache %}} is Django's {{% cache %}}, while "
            f"{', '.join(sorted(ours))} has that of fragcache.",
            hint="Write {% load fragcache %}, or move all templates over by OPTIONS['libraries'].",
            id="fragcache.W010",
        )


def _of_names(blocks: dict[str, set[str]]) -> Iterator[CheckMessage]:
    if not conf.settings().SHARED_BLOCKS:
        return
    for name, templates in sorted(blocks.items()):
        if len(templates) > 1:
            yield CheckWarning(
                f"{{% cache %}} {name!r} stands in {', '.join(sorted(templates))}, and "
                "FRAGCACHE['SHARED_BLOCKS'] makes it one: the first one is shown in all.",
                hint="Rename it, or use shared=True where one is meant, and not the setting.",
                id="fragcache.W011",
            )
